"""Row lengths to expect before anyone has read the data: the memory of a batch grows with its longest row, and few tasks come near their `max_length`.

`LONGEST` is the longest row of about 1,000, in tokens of a usual vocabulary, prompt included; rounded up, from the tasks' published length statistics. A run
knows better and predicts again from its own rows.
"""

from __future__ import annotations

from loretta_core.config.task import Chat, ConversationTask, Decoder, Instruct, Jsonl, Maths, Mmlu, MultipleChoice, TaskConfig, ToyQa

LONGEST = {
    "toy_sentiment": 24, "toy_entailment": 34, "toy_qa": 30, "toy_instruct": 34,
    "cola": 48, "sst2": 72, "mrpc": 112, "qqp": 128, "stsb": 96, "mnli": 160, "mnli_mm": 160, "qnli": 192, "rte": 304, "wnli": 112,
    "sst5": 72, "snli": 96, "trec": 48,
    "cb": 368, "boolq": 768, "wsc": 160, "wic": 96, "multirc": 800, "copa": 64, "record": 720, "squad": 640, "drop": 1200,
    "gsm8k": 640, "metamathqa": 768, "mmlu": 1024, "banking77": 112,
}  # fmt: skip
"""task → tokens."""

CLASSES = {"toy_sentiment": 2, "toy_entailment": 2, "sst2": 2, "rte": 2, "cb": 3, "boolq": 2, "wsc": 2, "wic": 2, "multirc": 2}
"""Tasks of a decoder whose training compares all answers of a row, which are label words of a token each."""
INTENTS, INTENT = 77, 5
"""Answers of banking77, and the tokens of one."""

ANSWERS = {"copa": 12, "record": 40, "squad": 16, "drop": 8, "toy_qa": 5, "toy_instruct": 5, "gsm8k": 300, "metamathqa": 500}
"""Tasks of a decoder whose answers are longer than the few tokens of a label word → tokens of a long one."""
LABEL_WORD = 3
CHOICE = 32
"""Tokens of a long choice of the user's own."""
CHOICES = 4
"""Choices of a row where they are counted in the data."""


def longest_row(task: TaskConfig) -> int:
    """Return the tokens of the longest row to expect."""
    return min(task.length, LONGEST.get(task.type, task.length))


def ranked_lengths(task: TaskConfig) -> list[int]:
    """Return the tokens of each answer that training compares in a row; empty where it reads one answer. A word of a verbalizer counts as a token."""
    if task.objective != "causal":
        return []
    if isinstance(task, Jsonl):
        return [max(1, len(words.split())) for words in task.verbalizer or ()]
    if isinstance(task, Mmlu | MultipleChoice):  # by text, the right one is learned alone
        return [1] * (_choices(task) if isinstance(task, MultipleChoice) else CHOICES) if task.by == "letter" else []
    if task.type == "banking77":
        return [INTENT] * INTENTS
    return [1] * CLASSES.get(task.type, 0)


def row_shape(task: TaskConfig, *, tokens: int, trees: bool) -> tuple[int, int]:
    """Return the sequences and tokens of a training row whose longest choice has so many tokens (`tasks/answer_tree.py`).

    `trees`: the method lets a model read branches; without it answers of several tokens are sequences of their own.
    """
    longer = sorted(length - 1 for length in ranked_lengths(task) if length > 1)
    if len(longer) < 2:
        return 1, tokens
    return (1, tokens + sum(longer[:-1])) if trees else (len(ranked_lengths(task)), tokens)


def written_tokens(task: TaskConfig) -> int:
    """Return the most tokens that the model writes to a row; 0 where it chooses an answer."""
    return task.max_new_tokens if isinstance(task, ToyQa | Jsonl | Decoder | Maths | ConversationTask) and task.predicts == "text" else 0


def scored_tokens(task: TaskConfig) -> int:
    """Return the positions of a training row at which a language model's logits are made: the mask, or what predicts answers. 0 for a classification head."""
    if isinstance(task, MultipleChoice | Mmlu) and task.by == "text":
        return CHOICE
    if isinstance(task, Instruct | Chat):  # of a chat every turn of the assistant, which is about half of what is said
        return min(task.length, max(task.max_new_tokens, task.length // 2 if isinstance(task, Chat) else 0))
    if task.objective == "causal":
        ranked = ranked_lengths(task)
        if ranked:
            return 1 + sum(length - 1 for length in ranked)
        return task.max_new_tokens if isinstance(task, Jsonl) and task.answer else ANSWERS.get(task.type, LABEL_WORD)
    return int(task.objective == "prompt")


def _choices(task: MultipleChoice) -> int:
    return CHOICES if isinstance(task.choices, str) else len(task.choices)
