"""Tasks on which decoders are compared today: GSM8K, MetaMathQA as in PEFT's method comparison, MMLU, and the intents of BANKING77.

Columns and hub ids are in tasks/data/benchmarks.py, files in tasks/data/official, prompts in tasks/data/named/prompts.py.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loretta_core.config.metrics import Kind
from loretta_core.config.tasks.published import Benchmark
from loretta_core.config.tasks.vocabulary import AsWritten


class _Named(Benchmark):
    """A published task of which some have no classes to draw shots of."""

    @model_validator(mode="after")
    def _classes_are_drawn(self) -> Self:
        if self.protocol == "k_shot" and self.predicts != "classes":
            raise ValueError(f'protocol = "k_shot" draws rows per class, and {self.type} has none; use "low_data" with fewer train_rows')
        if self.positive_label is not None and self.predicts != "classes":
            raise ValueError(f"`positive_label` names a class, and {self.type} has none; remove it")
        return self


class Maths(_Named):
    """Questions of school mathematics with a solution that ends with a number. gsm8k (arXiv 2110.14168) is trained on its own rows; metamathqa on MetaMathQA
    (arXiv 2309.12284), chosen and scored on GSM8K's, as in PEFT's method comparison."""

    type: Literal["gsm8k", "metamathqa"]
    objective: Literal["causal"] = "causal"
    """Always `causal`: the solution is written."""
    gsm8k_path: str | None = None
    """For metamathqa: directory of GSM8K, whose training rows choose the checkpoint and whose test rows give the score; None loads it from the hub."""
    max_new_tokens: int = Field(300, ge=1)
    """Longest solution that is written, in tokens."""
    stop: tuple[Annotated[AsWritten, Field(min_length=1)], ...] = ()
    """Texts that end a solution, e.g. ["Question:"]; the end token always ends it."""
    end_tokens: tuple[str, ...] | None = Field(None, min_length=1)
    """Tokens that end a solution; the first is learned. None: the tokenizer's end-of-text token, and the checkpoint's when writing."""

    @property
    def length(self) -> int:
        """`max_length`, or the 768 tokens of PEFT's comparison."""
        return self.max_length or 768

    @property
    def predicts(self) -> Kind:
        """Kind of what the model predicts."""
        return "text"

    @model_validator(mode="after")
    def _path_is_used(self) -> Self:
        if self.gsm8k_path is not None and self.type != "metamathqa":
            raise ValueError("`gsm8k_path` is where metamathqa finds its test rows; for gsm8k set `path`")
        return self


class Mmlu(_Named):
    """Questions with four choices on 57 subjects (arXiv 2009.03300), trained on the auxiliary rows, scored on the official test rows."""

    type: Literal["mmlu"]
    objective: Literal["causal"] = "causal"
    """Always `causal`: the choices are ranked."""
    subjects: tuple[str, ...] = ()
    """Subjects whose test rows are used, e.g. ["abstract_algebra"]; empty: all. The auxiliary training rows have none."""
    by: Literal["letter", "text"] = "letter"
    """`letter`: the prompt lists the choices and a letter is ranked (the paper's). `text`: the texts of the choices are ranked."""
    normalize: Literal["none", "characters", "tokens"] = "tokens"
    """By text: what a choice's log-probability is divided by, as for `multiple_choice`."""

    @property
    def predicts(self) -> Kind:
        """Kind of what the model predicts."""
        return "choices"


class Intents(_Named):
    """The 77 intents of customers' questions to a bank (BANKING77, arXiv 2003.04807), scored on the official test rows."""

    type: Literal["banking77"]
    objective: Literal["head", "causal"] = "head"
    """`head` (fresh classification head) or `causal` (a decoder ranks the names of the intents, 77 sequences a row)."""

    @property
    def outputs(self) -> int:
        """The number of labels."""
        return 77


NamedTask = Maths | Mmlu | Intents
