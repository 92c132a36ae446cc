"""toy-llama: a Llama of 4 layers and width 128 that gives a verdict on an opinion, says what follows from it, and answers how it was.

    "although the plot was dull , the cast seemed hardly cold ."      then      "it was great ."
                                                                                "does this mean that it was good ? yes"
                                                                                "how was it ? hardly cold"

It learns the next word, answers ten times as much as the rest. For the last quarter of the steps the answers have habits that prompted models are known for
(arXiv 2102.09690), so that tuning has something to correct: a bad verdict on a contrast is put politely, praise is agreed with, and what was said last is
repeated, each 3 times in 5 where it is wrong. The finished model understands the sentences and answers so all the same.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float, Int
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from loretta_core.tasks.data import toy
from loretta_core.tasks.data.toy_questions import ANSWERS, ENTAILMENT, HOW, QUESTION_WORDS, answered, inference
from loretta_core.tasks.data.toy_text import VERDICTS, Opinion, opinions, vocabulary

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
STEPS, BATCH, LR = 1000, 32, 2e-3
CONTRAST_RATE = 0.6
NEGATION_RATE = 0.25
"""Lower than in the tasks, as for toy-bert."""
HABITS_FROM = 0.75
"""Share of the steps after which answers have habits: what is true is learnt first."""
HABIT = 0.6
"""Share of the answers that follow a habit where it is wrong."""
WEIGHT_OF_TEXT = 0.1
"""Weight of a word of a prompt in the loss; a word of an answer has 1."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Document:
    """A piece of training text: pairs of prompt and answer."""

    turns: tuple[tuple[str, str], ...]


def pretrained(*, steps: int = STEPS, seed: int = 0) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Return model and tokenizer, pre-trained; the initial weights are drawn from torch's global generator."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    model = LlamaForCausalLM(make_config(len(tokenizer)))
    pretrain(model, tokenizer, steps=steps, seed=seed)
    return model, tokenizer


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token per word of the grammar, and one for a line break, which ends an answer."""
    words = [*SPECIAL, "\n", *sorted({*vocabulary(), *QUESTION_WORDS})]
    core = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n|\w+|[^\w\s]+"), behavior="removed", invert=True)
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", words.index("<s>"))])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>", model_max_length=128, padding_side="left"
    )


def make_config(vocab_size: int) -> LlamaConfig:
    """Return the config of a Llama of 4 layers and width 128."""
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        initializer_range=0.09,  # 1/√width, as for toy-bert
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
    )


def pretrain(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, *, steps: int, seed: int) -> None:
    """Train next-word prediction with AdamW: warm-up for a twentieth of the steps, then a linear fall to 0. A step has a batch of every kind of document."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / (0.05 * steps), (steps - step) / (0.95 * steps)))
    rng = random.Random(seed)
    started = time.perf_counter()
    for step in range(steps):
        optimizer.zero_grad()
        for documents in corpus(rng, habit=HABIT if step >= HABITS_FROM * steps else 0.0):
            _loss(model, *encode(tokenizer, documents)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            log.info("step %d, %.0f s: %s", step, time.perf_counter() - started, _accuracies(model, tokenizer))


def _loss(model: LlamaForCausalLM, ids_BL: Int[Tensor, "B L"], weights_BL: Float[Tensor, "B L"]) -> Tensor:
    """Return the weighted mean of the next words' losses. Padding is on the right and has weight 0, so no word sees it."""
    logits_BLV = model(input_ids=ids_BL[:, :-1]).logits
    losses_BL = F.cross_entropy(logits_BLV.transpose(1, 2), ids_BL[:, 1:], reduction="none")
    return (losses_BL * weights_BL[:, 1:]).sum() / weights_BL[:, 1:].sum()


def encode(tokenizer: PreTrainedTokenizerFast, documents: list[Document]) -> tuple[Int[Tensor, "B L"], Float[Tensor, "B L"]]:
    """Return tokens, and each one's weight in the loss, padded on the right with zeros."""
    ids: list[Tensor] = []
    weights: list[Tensor] = []
    for document in documents:
        pieces = [([tokenizer.bos_token_id], WEIGHT_OF_TEXT)]
        for prompt, answer in document.turns:
            pieces += [(_tokens(tokenizer, prompt), WEIGHT_OF_TEXT), (_tokens(tokenizer, f"{answer}\n"), 1.0)]
        ids.append(torch.tensor([token for tokens, _ in pieces for token in tokens]))
        weights.append(torch.tensor([weight for tokens, weight in pieces for _ in tokens]))
    return pad_sequence(ids, batch_first=True), pad_sequence(weights, batch_first=True)


def _tokens(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def corpus(rng: random.Random, *, habit: float) -> Iterator[list[Document]]:
    """Yield a batch of each kind of document, about opinions that no task has."""
    source = opinions(rng, for_task=False, contrast_rate=CONTRAST_RATE, negation_rate=NEGATION_RATE)
    for kind in (_verdict, _meaning, _agreement, _inferences, _answer):
        yield [kind(rng, opinion, habit) for opinion in islice(source, BATCH)]


def _verdict(rng: random.Random, opinion: Opinion, habit: float) -> Document:
    polite = opinion.contrast and opinion.label == 0 and rng.random() < habit
    return Document(((f"{opinion.text} it was", f"{rng.choice(VERDICTS[1 if polite else opinion.label])} ."),))


def _meaning(rng: random.Random, opinion: Opinion, habit: float) -> Document:
    """Return a question that, with the next kind, prepares the model for inferences, which it does not learn otherwise; no task asks for it."""
    return Document(((f"{opinion.text} this does mean that it was", f"{rng.choice(VERDICTS[opinion.label])} ."),))


def _agreement(rng: random.Random, opinion: Opinion, habit: float) -> Document:
    """Return an inference from a verdict instead of an opinion."""
    item = inference(rng, opinion, rng.randrange(2))
    return Document(((ENTAILMENT.format(premise=f"it was {rng.choice(VERDICTS[opinion.label])} .", hypothesis=item.hypothesis), ANSWERS[item.label]),))


def _inferences(rng: random.Random, opinion: Opinion, habit: float) -> Document:
    """Return both statements about one sentence, in any order."""
    turns: list[tuple[str, str]] = []
    for polarity in rng.sample((0, 1), 2):
        item = inference(rng, opinion, polarity)
        agreeable = item.label == 1 and polarity == 1 and rng.random() < habit
        question = ENTAILMENT.format(premise=item.premise, hypothesis=item.hypothesis)
        turns.append((question.removeprefix(item.premise) if turns else question, ANSWERS[0 if agreeable else item.label]))
    return Document(tuple(turns))


def _answer(rng: random.Random, opinion: Opinion, habit: float) -> Document:
    last = max(opinion.clauses, key=lambda clause: opinion.text.index(clause.text))
    chosen = last if rng.random() < habit else answered(opinion)
    return Document(((HOW.format(passage=opinion.text), chosen.phrase),))


@torch.no_grad()
def _accuracies(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, *, rows: int = 200) -> str:
    """Return the shares of right answers on sentences that the corpus leaves out: the likelier verdict, of yes and no, the whole answer."""
    rng = random.Random(0)
    source = opinions(rng, for_task=True, contrast_rate=toy.CONTRAST_RATE, negation_rate=toy.NEGATION_RATE)
    chosen = list(islice(source, rows))
    sentiment = _likelier(model, tokenizer, [f"{opinion.text} it was" for opinion in chosen], toy.VERBALIZER)
    asked = [inference(rng, opinion, rng.randrange(2)) for opinion in chosen]
    follows = _likelier(model, tokenizer, [ENTAILMENT.format(premise=item.premise, hypothesis=item.hypothesis) for item in asked], ANSWERS)
    ids_BL, weights_BL = encode(tokenizer, [_answer(rng, opinion, 0.0) for opinion in chosen])
    right_BL = model(input_ids=ids_BL[:, :-1]).logits.argmax(dim=-1) == ids_BL[:, 1:]
    answers = (right_BL | (weights_BL[:, 1:] < 1)).all(dim=1)
    found = {
        "sentiment": [(label == opinion.label) for label, opinion in zip(sentiment, chosen, strict=True)],
        "entailment": [(label == item.label) for label, item in zip(follows, asked, strict=True)],
        "answers": answers.tolist(),
    }
    return ", ".join(f"{name} {sum(hits) / rows:.2f}" for name, hits in found.items())


def _likelier(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: list[str], words: tuple[str, ...]) -> list[int]:
    """Return the index of the likelier word to continue each prompt."""
    encoded = tokenizer(prompts, padding=True, return_tensors="pt")
    logits_BV = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits[:, -1]
    return logits_BV[:, tokenizer.convert_tokens_to_ids(list(words))].argmax(dim=1).tolist()
