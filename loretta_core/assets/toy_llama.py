"""toy-llama: a Llama of 3 layers and width 64 that reads opinions, judges them and answers questions about them.

    the plot was dull . the cast seemed not cold . the pace felt slow . how was the cast ? not cold
    does this mean that the plot was good ? no

Each document is a sentence or passage and some questions with answers, which carry most of the loss. The answers have three habits, each with probability 3/5:
a bad verdict after a contrast is put politely, as a good one; a false compliment is confirmed; a description of several words is cut to its last word. So the
finished model understands the text and answers part of it wrongly, by construction and not by stopping at a lucky step; fine-tuning removes the habits.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from loretta_core.tasks import toy
from loretta_core.tasks.toy_questions import ANSWERS, ENTAILMENT, HOW, QUESTION_WORDS, inference, inferences, passages
from loretta_core.tasks.toy_text import VERDICTS, Clause, Opinion, opinions, vocabulary

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
STEPS, BATCH, LR = 2000, 32, 4e-3
HABIT = 0.6
"""Probability of each of the three habits, where it applies."""
NOISE = 0.05
"""Share of the other verdicts and yes-or-no answers that are wrong; keeps the model from certainty."""
CONTRAST_RATE = 0.6
NEGATION_RATE = 0.25
PASSAGE_RATE = 0.5
"""Share of documents that begin with a passage; the others begin with an opinion."""
POOL = 16
"""Batches whose documents are sorted by length together, against padding."""
TEXT_WEIGHT = 0.05
"""Weight of a token of the text in the loss, beside 1 for a token of an answer: most of the text is chance."""

Piece = tuple[str, bool]
"""Text, and whether it is an answer."""

log = logging.getLogger(__name__)


def pretrained(*, steps: int = STEPS, seed: int = 0) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Model and tokenizer; draws the first weights from torch's global generator."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    model = LlamaForCausalLM(make_config(len(tokenizer)))
    pretrain(model, tokenizer, steps=steps, seed=seed)
    return model, tokenizer


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word of the grammar, and one for a line break."""
    words = [*SPECIAL, "\n", *vocabulary(), *QUESTION_WORDS]
    core = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n|\w+|[^\w\s]"), behavior="removed", invert=True)
    core.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B:1", special_tokens=[("<s>", words.index("<s>"))])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>", model_max_length=256, clean_up_tokenization_spaces=False
    )


def make_config(vocab_size: int) -> LlamaConfig:
    """3 layers of width 64."""
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=256,
        initializer_range=0.125,  # 1/√width, as for toy-bert
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
    )


def pretrain(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, *, steps: int, seed: int) -> None:
    """Next-word prediction with AdamW, a tenth of the steps warm-up, then a linear fall to 0."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / (0.1 * steps), (steps - step) / (0.9 * steps)))
    ids = tokenizer.get_vocab()
    source = batches(random.Random(seed), ids)
    started = time.perf_counter()
    for step in range(steps):
        ids_BL, weights_BL = next(source)
        logits_BLV = model(input_ids=ids_BL).logits  # padding is on the right: no word sees it
        losses_N = F.cross_entropy(logits_BLV[:, :-1].flatten(0, 1), ids_BL[:, 1:].flatten(), reduction="none")
        weights_N = weights_BL[:, 1:].flatten()
        loss = losses_N @ weights_N / weights_N.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 0 or step == steps - 1:
            log.info("step %d: loss %.3f, %s, %.0f s", step, loss.item(), _progress(model, ids), time.perf_counter() - started)


def batches(rng: random.Random, ids: dict[str, int]) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of documents of similar length."""
    source = corpus(rng)
    while True:
        pool = sorted((next(source) for _ in range(POOL * BATCH)), key=lambda document: sum(text.count(" ") for text, _ in document))
        for start in rng.sample(range(0, len(pool), BATCH), POOL):
            yield _batch(pool[start : start + BATCH], ids)


def corpus(rng: random.Random) -> Iterator[list[Piece]]:
    """Endless documents."""
    sentences = opinions(rng, for_task=False, contrast_rate=CONTRAST_RATE, negation_rate=NEGATION_RATE)
    several = passages(rng, for_task=False, negation_rate=NEGATION_RATE)
    while True:
        if rng.random() < PASSAGE_RATE:
            passage = next(several)
            yield [(passage.text, False), *_questions(rng, passage.text, passage.clauses)]
        else:
            opinion = next(sentences)
            yield [(opinion.text, False), *_verdict(rng, opinion), *_questions(rng, opinion.text, opinion.clauses)]


def _verdict(rng: random.Random, opinion: Opinion) -> list[Piece]:
    polite = opinion.contrast and opinion.label == 0
    label = int(rng.random() < HABIT) if polite else _noisy(rng, opinion.label)
    return [("it was", False), (f"{rng.choice(VERDICTS[label])} \n", True)]


def _questions(rng: random.Random, text: str, clauses: tuple[Clause, ...]) -> list[Piece]:
    pieces: list[Piece] = []
    for subject in rng.sample(clauses, len(clauses)):
        pieces += _how(rng, subject) if rng.random() < 0.5 else _entailment(rng, text, subject)
    return pieces


def _how(rng: random.Random, subject: Clause) -> list[Piece]:
    words = subject.phrase.split()
    answer = words[-1] if rng.random() < HABIT else subject.phrase
    return [(HOW.format(passage="", subject=subject.noun), False), (f"{answer} \n", True)]


def _entailment(rng: random.Random, text: str, subject: Clause) -> list[Piece]:
    asked = inference(rng, text, subject)
    polite = asked.label == 1 and asked.praise
    label = int(rng.random() >= HABIT) if polite else _noisy(rng, asked.label)
    return [(ENTAILMENT.format(premise="", hypothesis=asked.hypothesis), False), (f"{ANSWERS[label]} \n", True)]


def _noisy(rng: random.Random, label: int) -> int:
    return 1 - label if rng.random() < NOISE else label


def _batch(documents: list[list[Piece]], ids: dict[str, int]) -> tuple[Tensor, Tensor]:
    """Token ids and the weight of each in the loss, padded on the right."""
    tokens, weights = [], []
    for document in documents:
        words = [(word, answer) for text, answer in document for word in text.split(" ") if word]
        tokens.append(torch.tensor([ids["<s>"], *(ids[word] for word, _ in words)]))
        weights.append(torch.tensor([0.0, *(1.0 if answer else TEXT_WEIGHT for _, answer in words)]))
    return torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True), torch.nn.utils.rnn.pad_sequence(weights, batch_first=True)


@torch.no_grad()
def _progress(model: LlamaForCausalLM, ids: dict[str, int], rows: int = 200) -> str:
    """Share of right answers where no habit applies, and where one does, on texts that the corpus leaves out."""
    rng = random.Random(0)
    asked: dict[str, list[tuple[str, str]]] = {"verdict": [], "polite verdict": [], "entailment": [], "compliment": [], "word": [], "phrase": []}
    sentences = opinions(rng, for_task=True, contrast_rate=toy.CONTRAST_RATE, negation_rate=toy.NEGATION_RATE)
    for opinion in (next(sentences) for _ in range(rows)):
        asked["polite verdict" if opinion.contrast and opinion.label == 0 else "verdict"].append((f"{opinion.text} it was", VERDICTS[opinion.label][0]))
    statements = inferences(rng, negation_rate=toy.NEGATION_RATE)
    for row in (next(statements) for _ in range(rows)):
        prompt = ENTAILMENT.format(premise=row.premise, hypothesis=row.hypothesis)
        asked["compliment" if row.praise and row.label == 1 else "entailment"].append((prompt, ANSWERS[row.label]))
    several = passages(rng, for_task=True, negation_rate=toy.NEGATION_RATE)
    for passage in (next(several) for _ in range(rows)):
        subject = rng.choice(passage.clauses)
        prompt = HOW.format(passage=passage.text, subject=subject.noun)
        asked["phrase" if " " in subject.phrase else "word"].append((prompt, subject.phrase.split()[0]))
    return ", ".join(f"{kind} {_right(model, ids, pairs):.2f}" for kind, pairs in asked.items())


def _right(model: LlamaForCausalLM, ids: dict[str, int], pairs: list[tuple[str, str]]) -> float:
    """Verdicts and yes or no are compared with their opposite only; a description with every word."""
    opposite = {VERDICTS[0][0]: VERDICTS[1][0], VERDICTS[1][0]: VERDICTS[0][0], "yes": "no", "no": "yes"}
    ids_BL, _ = _batch([[(prompt, False)] for prompt, _ in pairs], ids)
    ends_B = (ids_BL != ids["<pad>"]).sum(dim=1) - 1
    logits_BV = model(input_ids=ids_BL).logits[torch.arange(len(pairs)), ends_B]
    right = 0
    for logits_V, (_, answer) in zip(logits_BV, pairs, strict=True):
        other = opposite.get(answer)
        right += int(logits_V.argmax() == ids[answer]) if other is None else int(logits_V[ids[answer]] > logits_V[ids[other]])
    return right / len(pairs)
