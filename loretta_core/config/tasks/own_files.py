"""Settings that all tasks of the user's own files share: where the rows are, how they are read, and which are used."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from loretta_core.config.tasks.vocabulary import AsWritten, Quoting, Rows, Source
from loretta_core.schema import Typed


class OwnFiles(Typed):
    """Files that the sweep names."""

    train: Source
    """Training rows: the path of a file, a list of paths, a pattern such as `data/part-*.csv`, or `hf://owner/name:split` on the hub."""
    validation: Source
    """Validation rows, which choose the best checkpoint."""
    test: Source | None = None
    """Test rows. When None, a fifth of the training rows, at most `test_rows` or 1,000, is held out and gives the score. With fewer than 50
    training rows the score is the one of the chosen checkpoint on `validation`, and the record says so."""
    encoding: str | None = None
    """Encoding of the files, e.g. cp1252; None: by a byte-order mark, UTF-8, else guessed and told."""
    separator: Annotated[AsWritten, Field(min_length=1, max_length=1)] | None = None
    """Character between the cells of .csv and .tsv; None: a comma or a tab, else the one of `; | ,` and tab that gives the columns their names."""
    quoting: Quoting = "auto"
    """Quotes in .tsv and .csv: `enclosed` (around cells that need them, doubled inside), `none` (characters of the text), or `auto`: enclosed in .csv, in
    .tsv where the whole file can be read so."""
    train_rows: Rows | None = None
    """Use this many training rows, drawn with `data_seed`; None uses all (that are not held out)."""
    validation_rows: Rows | None = None
    """Use this many validation rows, drawn with `data_seed`; None uses all."""
    test_rows: Rows | None = None
    """Use this many test rows, the same ones for every `data_seed`; None uses all."""
    data_seed: int = Field(0, ge=0)
    """Seed of the draws of training and validation rows; the test rows do not depend on it."""

    @model_validator(mode="after")
    def _files_are_named(self) -> Self:
        bare = [name for name in ("train", "validation", "test") if getattr(self, name) is not None and not getattr(self, name)]
        if bare:
            raise ValueError(f"`{bare[0]}` names no file; expected a path, a list of paths, a pattern, or hf://owner/name:split")
        return self
