"""Table of the official archives of the published tasks: folders, files and columns, where the hub names them otherwise.

GLUE: `MNLI/dev_matched.tsv`, CoLA without a header.  SuperGLUE: `BoolQ/val.jsonl`.  SNLI, TREC, SQuAD, DROP: the files of their authors' pages; SST-5 and TREC
also as LM-BFF and MeZO distribute them, `label,text` without a header (TREC's labels numbered in an order of its own).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TREC_OF_LM_BFF = ("DESC", "ENTY", "ABBR", "HUM", "LOC", "NUM")
"""TREC's labels in the order in which LM-BFF numbers them."""


@dataclass(frozen=True)
class Layout:
    """The official form of a task's files."""

    folder: str
    """Name of its folder in the archive; case, hyphens and underscores do not count."""
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Split → names of its file without suffix, where they are more than the usual ones."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Official name of a column → the hub's."""
    headless: tuple[str, ...] = ()
    """Columns of delimited files without a header, by the hub's names."""


MMLU_CHOICES = ("choice A", "choice B", "choice C", "choice D")
"""Columns of MMLU's files; not the letters alone, which stand in the rows themselves."""

_SENTENCES = {"sentence1": "premise", "sentence2": "hypothesis", "gold_label": "label"}
_LABEL_TEXT = ("label", "text")
LM_BFF_LABEL = "label of LM-BFF"
"""Column of TREC's files without a header."""

LAYOUTS: Mapping[str, Layout] = {
    "cola": Layout("CoLA", headless=("source", "label", "mark", "sentence")),
    "sst2": Layout("SST-2"),
    "mrpc": Layout(
        "MRPC",
        {"train": ("msr_paraphrase_train",), "validation": ("msr_paraphrase_test",)},
        {"Quality": "label", "#1 String": "sentence1", "#2 String": "sentence2"},
    ),
    "qqp": Layout("QQP", columns={"is_duplicate": "label"}),
    "stsb": Layout("STS-B", columns={"score": "label"}),
    "mnli": Layout("MNLI", columns=_SENTENCES),
    "mnli_mm": Layout("MNLI", columns=_SENTENCES),
    "qnli": Layout("QNLI"),
    "rte": Layout("RTE", columns={"premise": "sentence1", "hypothesis": "sentence2"}),
    "wnli": Layout("WNLI"),
    "sst5": Layout("SST-5", columns={"sentence": "text"}, headless=_LABEL_TEXT),
    "snli": Layout("SNLI", {"train": ("snli_1.0_train",), "validation": ("snli_1.0_dev",)}, _SENTENCES),
    "trec": Layout(
        "TREC", {"train": ("train_5500",), "test": ("trec_10",)}, {"coarse_label": "label", "label-coarse": "label"}, headless=(LM_BFF_LABEL, "text")
    ),
    "cb": Layout("CB"),
    "boolq": Layout("BoolQ"),
    "wsc": Layout("WSC"),
    "wic": Layout("WiC"),
    "multirc": Layout("MultiRC"),
    "copa": Layout("COPA"),
    "record": Layout("ReCoRD"),
    "squad": Layout("SQuAD", {"train": ("train-v1.1",), "validation": ("dev-v1.1",)}),
    "gsm8k": Layout("grade_school_math"),
    "metamathqa": Layout("MetaMathQA", {"train": ("MetaMathQA-395K", "MetaMathQA")}),
    "mmlu": Layout("MMLU", {"auxiliary_train": ("train", "validation", "val")}, headless=("question", *MMLU_CHOICES, "answer")),
    "banking77": Layout("banking_data", columns={"category": "label"}),
    "drop": Layout("DROP", {"train": ("drop_dataset_train",), "validation": ("drop_dataset_dev",)}),
}
"""task → layout."""


def file_names(task: str, split: str) -> tuple[str, ...]:
    """Return the names, without suffix, that the file of a split may have, the hub's first."""
    kind, _, rest = split.partition("_")
    usual = [f"{one}_{rest}" if rest else one for one in {"validation": ("validation", "dev", "val")}.get(kind, (kind,))]
    short = ["validation", "dev", "val"] if rest == "matched" else []
    return (*usual, *short, *LAYOUTS[task].files.get(split, ()))
