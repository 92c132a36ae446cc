"""Every error of ours that a person can meet.

    LorettaError
    ├── ConfigError (ValueError)      the request is wrong: the CLI prints the message and exits with code 2
    │   ├── DataError                 a data file or row
    │   ├── ModelError                a model name, directory or architecture
    │   ├── MethodError               a fine-tuning method that does not fit the model
    │   ├── ResourceError             a cell that the devices cannot hold
    │   └── OutputError               the output directory or a record in it
    ├── InfrastructureError           what cells are computed with is gone: exit code 3; what is finished is kept
    └── CellFailed                    a cell that started and broke; the sweep goes on

A message says what was given, what was expected and what to do. Violations of our own invariants are plain `assert`s, not errors of this tree.
"""

from __future__ import annotations


class LorettaError(Exception):
    """Base of every error raised on purpose by this project."""

    exit_code = 1
    """Exit code of a command that ends with it."""


class ConfigError(LorettaError, ValueError):
    """The request cannot be carried out as written."""

    exit_code = 2


class DataError(ConfigError):
    """A data file is missing, or a row in it is not what the task says."""


class ModelError(ConfigError):
    """A model cannot be found, read or used for the task."""


class MethodError(ConfigError):
    """A fine-tuning method does not fit the model."""


class ResourceError(ConfigError):
    """No device at hand can hold the cell."""


class OutputError(ConfigError):
    """The output directory cannot be used, or a record in it is damaged."""


class InfrastructureError(LorettaError):
    """The machinery that computes cells is gone, such as Ray; the same command goes on when it is back."""

    exit_code = 3


class CellFailed(LorettaError):
    """A cell started and did not finish; `kind` is the class of failure."""

    def __init__(self, message: str, *, kind: str = "error") -> None:
        super().__init__(message)
        self.kind = kind
