"""toy-bert: a BERT of 4 layers and width 128 that completes opinions with a verdict.

It learns masked-word prediction on generated opinions, each followed by a verdict: "the plot was not dull . it was great ."
The verdict agrees with the sentence 19 times in 20, but a bad verdict after a contrast is put politely, as a good one, 3 times in 5. So the finished model
understands contrasts and calls all of them great: right on single clauses, at chance on contrasts, by construction and not by stopping at a lucky step.
Prompted models have such biases (arXiv 2102.09690), and removing them is what the first steps of fine-tuning do, with gradients or without.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from torch.nn import functional as F
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from loretta_core.tasks.data import toy
from loretta_core.tasks.data.toy_text import VERDICTS, Opinion, opinions, vocabulary

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
STEPS, BATCH, LR = 1200, 128, 1e-3
CONTRAST_RATE = 0.5
NEGATION_RATE = 0.25
"""Lower than in the task: a word's polarity is then learnt first, and negation as its exception."""
VERDICT_NOISE = 0.05
"""Share of verdicts that contradict their sentence; keeps the model from certainty."""
POLITENESS = 0.6
"""Share of bad verdicts after a contrast that are written as good ones."""
MASK_VERDICT, MASK_OTHER = 0.9, 0.1
"""Probability that the verdict word, and that any other word, is masked."""

log = logging.getLogger(__name__)


def pretrained(*, steps: int = STEPS, seed: int = 0) -> tuple[BertForMaskedLM, PreTrainedTokenizerFast]:
    """Return model and tokenizer, pre-trained; the initial weights are drawn from torch's global generator."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    model = BertForMaskedLM(make_config(len(tokenizer)))
    pretrain(model, tokenizer, steps=steps, seed=seed)
    return model, tokenizer


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token per word of the grammar."""
    words = [*SPECIAL, *vocabulary()]
    core = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(name, words.index(name)) for name in ("[CLS]", "[SEP]")]
    core.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]", model_max_length=64
    )


def make_config(vocab_size: int) -> BertConfig:
    """Return the config of a BERT of 4 layers and width 128."""
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
        initializer_range=0.09,  # 1/√width; the default of 0.02 is meant for width 768 and keeps this model at chance for thousands of steps
    )


def pretrain(model: BertForMaskedLM, tokenizer: PreTrainedTokenizerFast, *, steps: int, seed: int) -> None:
    """Train masked-word prediction with AdamW; the learning rate warms up for a tenth of the steps, then falls linearly to 0."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / (0.1 * steps), (steps - step) / (0.9 * steps)))
    source = corpus(random.Random(seed))
    generator = torch.Generator().manual_seed(seed)
    started = time.perf_counter()
    for step in range(steps):
        encoded = tokenizer([next(source) for _ in range(BATCH)], padding=True, return_tensors="pt")
        masked_BL, labels_BL = mask_words(encoded["input_ids"], tokenizer=tokenizer, generator=generator)
        logits_BLV = model(input_ids=masked_BL, attention_mask=encoded["attention_mask"]).logits
        loss = F.cross_entropy(logits_BLV.flatten(0, 1), labels_BL.flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 0 or step == steps - 1:
            single, contrast = (_accuracy(model, tokenizer, contrast_rate=rate) for rate in (0.0, 1.0))
            log.info("step %d: loss %.3f, single %.2f, contrast %.2f, %.0f s", step, loss.item(), single, contrast, time.perf_counter() - started)


@torch.no_grad()
def _accuracy(model: BertForMaskedLM, tokenizer: PreTrainedTokenizerFast, *, contrast_rate: float, rows: int = 256) -> float:
    """Return the share of right verdicts on sentences that the corpus leaves out."""
    source = opinions(random.Random(0), for_task=True, contrast_rate=contrast_rate, negation_rate=toy.NEGATION_RATE)
    chosen = [next(source) for _ in range(rows)]
    encoded = tokenizer([toy.TEMPLATE.format(text=opinion.text, mask=tokenizer.mask_token) for opinion in chosen], padding=True, return_tensors="pt")
    logits_BLV = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits
    at_mask_BV = logits_BLV[encoded["input_ids"] == tokenizer.mask_token_id]
    predicted_B = at_mask_BV[:, tokenizer.convert_tokens_to_ids(list(toy.VERBALIZER))].argmax(dim=1)
    return (predicted_B == torch.tensor([opinion.label for opinion in chosen])).float().mean().item()


def corpus(rng: random.Random) -> Iterator[str]:
    """Yield endless sentences with verdicts."""
    for opinion in opinions(rng, for_task=False, contrast_rate=CONTRAST_RATE, negation_rate=NEGATION_RATE):
        yield f"{opinion.text} it was {rng.choice(VERDICTS[_verdict(rng, opinion)])} ."


def _verdict(rng: random.Random, opinion: Opinion) -> int:
    if opinion.contrast and opinion.label == 0:
        return int(rng.random() < POLITENESS)
    return 1 - opinion.label if rng.random() < VERDICT_NOISE else opinion.label


def mask_words(ids_BL: Tensor, *, tokenizer: PreTrainedTokenizerFast, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Replace words by [MASK]; labels are the words at masked places and -100 elsewhere. The verdict is the last word before the final stop."""
    special_BL = ids_BL < len(SPECIAL)
    lengths_B = (ids_BL != tokenizer.pad_token_id).sum(dim=1)
    rate_BL = torch.where(special_BL, 0.0, MASK_OTHER)
    rate_BL[torch.arange(len(ids_BL)), lengths_B - 3] = MASK_VERDICT
    chosen_BL = torch.rand(ids_BL.shape, generator=generator) < rate_BL
    return torch.where(chosen_BL, tokenizer.mask_token_id, ids_BL), torch.where(chosen_BL, ids_BL, -100)
