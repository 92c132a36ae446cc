"""RoBERTa's form of a BERT computes what the BERT computes."""

import torch
from transformers import BertModel, PreTrainedTokenizerFast

from jobs.examples.roberta_form import TOY, roberta_form


def test_it_computes_the_same():
    tokenizer = PreTrainedTokenizerFast.from_pretrained(TOY)
    bert = BertModel.from_pretrained(TOY, add_pooling_layer=False).eval()
    roberta = roberta_form(bert, pad_token_id=tokenizer.pad_token_id)
    batch = tokenizer(["the plot was dull .", "although the film was bright , the cast was not ."], padding=True, return_tensors="pt")
    with torch.no_grad():
        one, other = bert(**batch).last_hidden_state, roberta(**batch).last_hidden_state
    there = batch["attention_mask"].bool()
    torch.testing.assert_close(other[there], one[there], rtol=1e-5, atol=1e-6)
