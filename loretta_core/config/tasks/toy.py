"""Generated tasks, which need no files (`tasks/data/toy.py`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from loretta_core.config.metrics import Kind
from loretta_core.config.tasks.vocabulary import Objective, Rows
from loretta_core.schema import Typed


class _Toy(Typed):
    """Settings that the generated tasks share."""

    predicts: ClassVar[Kind] = "classes"
    """Kind of what the model predicts."""

    objective: Objective
    train_rows: Rows = 1000
    """Training rows (the papers' low-data setting: 1,000)."""
    validation_rows: Rows = 500
    """Rows that choose the best checkpoint (low-data setting: 500)."""
    test_rows: Rows = 1000
    """Rows that give the score (low-data setting: 1,000)."""
    data_seed: int = Field(0, ge=0)
    """Seed of the training and validation rows; the test rows do not depend on it. Independent of the cell's seed, so that seeds compare on the same data."""
    max_length: int = Field(64, ge=8)
    """Longest input in tokens; longer ones are cut in the text, never in the prompt."""

    @property
    def length(self) -> int:
        """Longest input in tokens."""
        return self.max_length


class ToySentiment(_Toy):
    """Generated sentences with negation and contrast, labelled negative or positive; needs no files. For toy-bert; for toy-llama with `causal`."""

    type: Literal["toy_sentiment"]
    objective: Objective = "prompt"
    """`prompt` (masked-LM verbalizer), `head` (fresh classification head), or `causal` (a decoder ranks the two verdicts)."""


class ToyEntailment(_Toy):
    """Generated sentences, and statements that follow from them or contradict them; needs no files. For toy-llama, and for encoders with `head`."""

    type: Literal["toy_entailment"]
    objective: Literal["causal", "head"] = "causal"
    """`causal` (a decoder ranks yes and no) or `head` (fresh classification head on the pair of sentences)."""


class ToyQa(_Toy):
    """Generated sentences with a question whose answer is one to three of their words; needs no files. For toy-llama. Scored by token F1, as SQuAD."""

    predicts: ClassVar[Kind] = "text"

    type: Literal["toy_qa"]
    objective: Literal["causal"] = "causal"
    """Always `causal`: the answer is written."""
    max_new_tokens: int = Field(6, ge=1)
    """Longest answer that is written, in tokens; it ends at a line break or the end token."""


class ToyInstruct(_Toy):
    """Generated sentences with an instruction: describe it, describe one noun of it, or say whether something follows; needs no files. For toy-llama."""

    predicts: ClassVar[Kind] = "text"

    type: Literal["toy_instruct"]
    objective: Literal["causal"] = "causal"
    """Always `causal`: the answer is written."""
    max_new_tokens: int = Field(6, ge=1)
    """Longest answer that is written, in tokens."""
    packing: bool = False
    """Put short rows of a training batch behind one another in one sequence, each seeing only itself."""


ToyTask = ToySentiment | ToyEntailment | ToyQa | ToyInstruct
