"""Table of the published tasks: their data sets, their columns, labels, metric, and the masked-LM prompt of each. Column names are the hub's.

Prompts and label words are LM-BFF's (arXiv 2012.15723, table 1), which MeZO's masked-LM experiments take over (arXiv 2305.17333, table 13); WNLI's, which they
leave out, is RTE's; the last four tasks have none. The forms of columns are those of `templates.py`; the prompts for decoders are in `mezo_prompts.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from loretta_core.tasks.data.named.intents import BANKING77


@dataclass(frozen=True)
class Benchmark:
    """A published task: its data set, columns, labels, metric and prompt."""

    hub: str
    """Name of the data set on the hub."""
    part: str | None
    """Name of its configuration on the hub."""
    text: tuple[str, ...]
    """Columns of the text; for a decoder's task, those that its prompt reads."""
    labels: tuple[str, ...] = ()
    """Names in the order of their numbers; none for numbers and free answers."""
    metric: str = "accuracy"
    template: str | None = None
    verbalizer: tuple[str, ...] = ()
    validation: str = "validation"
    """The hub's name of the split that gives the test rows."""
    train: str = "train"
    """The hub's name of the split that is trained on."""


_PAIR = ("sentence1", "sentence2")
_NLI = ("premise", "hypothesis")
_QUESTION = "{%s:open}? {mask}, {%s:lower}"

BENCHMARKS: dict[str, Benchmark] = {
    "cola": Benchmark(
        "nyu-mll/glue", "cola", ("sentence",), ("unacceptable", "acceptable"), "matthews", "{sentence} This is {mask}.", ("incorrect", "correct")
    ),
    "sst2": Benchmark("nyu-mll/glue", "sst2", ("sentence",), ("negative", "positive"), "accuracy", "{sentence} It was {mask}.", ("terrible", "great")),
    "mrpc": Benchmark("nyu-mll/glue", "mrpc", _PAIR, ("not_equivalent", "equivalent"), "f1", "{sentence1} {mask}, {sentence2:lower}", ("No", "Yes")),
    "qqp": Benchmark("nyu-mll/glue", "qqp", ("question1", "question2"), ("no", "duplicate"), "f1", "{question1} {mask}, {question2:lower}", ("No", "Yes")),
    "stsb": Benchmark("nyu-mll/glue", "stsb", _PAIR, (), "pearson_spearman", "{sentence1} {mask}, {sentence2:lower}", ("No", "Yes")),
    "mnli": Benchmark(
        "nyu-mll/glue",
        "mnli",
        _NLI,
        ("entailment", "neutral", "contradiction"),
        template=_QUESTION % _NLI,
        verbalizer=("Yes", "Maybe", "No"),
        validation="validation_matched",
    ),
    "mnli_mm": Benchmark(
        "nyu-mll/glue",
        "mnli",
        _NLI,
        ("entailment", "neutral", "contradiction"),
        template=_QUESTION % _NLI,
        verbalizer=("Yes", "Maybe", "No"),
        validation="validation_mismatched",
    ),
    "qnli": Benchmark(
        "nyu-mll/glue",
        "qnli",
        ("question", "sentence"),
        ("entailment", "not_entailment"),
        "accuracy",
        "{question:open}? {mask}, {sentence:lower}",
        ("Yes", "No"),
    ),
    "rte": Benchmark("nyu-mll/glue", "rte", _PAIR, ("entailment", "not_entailment"), "accuracy", _QUESTION % _PAIR, ("Yes", "No")),
    "wnli": Benchmark("nyu-mll/glue", "wnli", _PAIR, ("not_entailment", "entailment"), "accuracy", _QUESTION % _PAIR, ("No", "Yes")),
    "sst5": Benchmark(
        "SetFit/sst5",
        None,
        ("text",),
        ("very negative", "negative", "neutral", "positive", "very positive"),
        template="{text} It was {mask}.",
        verbalizer=("terrible", "bad", "okay", "good", "great"),
        validation="test",
    ),
    "snli": Benchmark("stanfordnlp/snli", None, _NLI, ("entailment", "neutral", "contradiction"), template=_QUESTION % _NLI, verbalizer=("Yes", "Maybe", "No")),
    "trec": Benchmark(
        "CogComp/trec",
        None,
        ("text",),
        ("ABBR", "ENTY", "DESC", "HUM", "LOC", "NUM"),
        template="{mask}: {text}",
        verbalizer=("Expression", "Entity", "Description", "Human", "Location", "Number"),
        validation="test",
    ),
    "cb": Benchmark("aps/super_glue", "cb", _NLI, ("entailment", "contradiction", "neutral")),
    "boolq": Benchmark("aps/super_glue", "boolq", ("passage", "question"), ("False", "True")),
    "wsc": Benchmark("aps/super_glue", "wsc.fixed", ("text", "span1_text", "span2_text"), ("False", "True")),
    "wic": Benchmark("aps/super_glue", "wic", ("sentence1", "sentence2", "word"), ("False", "True")),
    "multirc": Benchmark("aps/super_glue", "multirc", ("paragraph", "question", "answer"), ("False", "True")),
    "copa": Benchmark("aps/super_glue", "copa", ("premise", "choice1", "choice2", "question"), ("choice1", "choice2")),
    "record": Benchmark("aps/super_glue", "record", ("passage", "query")),
    "squad": Benchmark("rajpurkar/squad", None, ("title", "context", "question"), metric="squad_f1"),
    "drop": Benchmark("ucinlp/drop", None, ("passage", "question"), metric="squad_f1"),
    "gsm8k": Benchmark("openai/gsm8k", "main", ("question",), metric="number", validation="test"),
    "metamathqa": Benchmark("meta-math/MetaMathQA", None, ("query",), metric="number"),
    "mmlu": Benchmark("cais/mmlu", "all", ("question",), validation="test", train="auxiliary_train"),
    "banking77": Benchmark("legacy-datasets/banking77", None, ("text",), BANKING77, validation="test"),
}

STSB_RANGE = (0.0, 5.0)
