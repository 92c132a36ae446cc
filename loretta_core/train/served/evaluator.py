"""An evaluator of zeroth-order steps that asks an inference server: every variant of the parameters is a LoRA adapter there, all are evaluated at once.

    θ + εz, θ − εz, …  ──write──►  adapters, as files  ──load──►  server  ──log-probabilities of the answers──►  losses          then unload, delete

The server batches the requests of all adapters through one copy of its base. θ, the update and the log stay here: a replay needs no server. Losses are those of
the local model to rounding, if it computes in the same precision (vLLM: --dtype float32).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from inspect import unwrap
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from peft import PeftModel
from torch import Tensor

from loretta_core.config.engine import Served
from loretta_core.errors import CellFailed, ModelError
from loretta_core.tasks.base import Batch, Choice
from loretta_core.train.served.completions import CompletionsServer
from loretta_core.train.served.lora_files import write_lora
from loretta_core.train.step import MeanLoss
from loretta_core.zo.guards.closures import Closure
from loretta_core.zo.parameters.placement import Storage
from loretta_core.zo.variants import Variant

AT_ONCE = 16
"""Most requests that wait for the server at the same time."""


@runtime_checkable
class ScoresAnswers(Protocol):
    """An objective of a decoder, whose loss is a function of the mean log-probabilities of its answers."""

    def loss_of(self, scores_S: Float[Tensor, " S"], batch: Batch) -> Float[Tensor, ""]:
        """Return the mean loss over the rows of a batch."""
        ...


class ServedEvaluator:
    """Evaluates variants on a server.

    Args:
        model: the local model, whose adapter is LoRA or loretta_rep without trained norms.
        objective: computes the loss.
        server: where.
        directory: where adapters are written, which the server reads under the same path; None is the system's directory for temporary files.
    """

    def __init__(self, model: PeftModel, *, objective: ScoresAnswers, server: CompletionsServer, directory: Path | None = None) -> None:
        self._model, self._objective, self._server, self._directory = model, objective, server, directory

    def losses(self, closure: Closure, *, storage: Storage, variants: Iterable[Variant]) -> list[float]:
        """Return one loss per variant. Raises CellFailed when the server is away or refuses."""
        asked = unwrap(closure)
        assert isinstance(asked, MeanLoss), "the closure of a cell's step tells its batch"
        with self._loaded(storage, variants) as names, ThreadPoolExecutor(min(AT_ONCE, max(1, len(names)))) as pool:
            return list(pool.map(lambda name: self._loss(name, asked.batches), names))

    def _loss(self, name: str, batches: Sequence[Batch]) -> float:
        rows = sum(map(len, batches))
        return sum(self._objective.loss_of(self._scores(name, batch), batch).item() * len(batch) / rows for batch in batches)

    def _scores(self, name: str, batch: Batch) -> Float[Tensor, " S"]:
        """Return the mean log-probability of the answer tokens of each sequence, as `answer_scores` does; a text's first token is never predicted."""
        choices = [choice for example in batch.examples for choice in example.choices]  # a server reads each as a text of its own
        sequences = [choice.tokens for choice in choices]
        found = self._server.log_probabilities(name, sequences)
        return torch.tensor([mean_learned(one, choice) for one, choice in zip(found, choices, strict=True)], device=batch.labels_B.device)

    @contextmanager
    def _loaded(self, storage: Storage, variants: Iterable[Variant]) -> Iterator[list[str]]:
        """Load an adapter for each variant; on leaving, none is on the server or on disk."""
        directory = Path(tempfile.mkdtemp(prefix="loretta-served-", dir=self._directory))
        names: list[str] = []
        try:
            with storage.evaluating() as set_shift:
                for index, (sign, shift) in enumerate(variants):
                    set_shift(sign, shift)
                    write_lora(self._model, directory / str(index))
                    names.append(f"loretta-{uuid.uuid4().hex}")
            for index, name in enumerate(names):
                self._server.load(name, directory / str(index))
            yield names
        except BaseException:
            for name in names:
                with suppress(CellFailed):  # the first failure is the one to tell
                    self._server.without_retries.unload(name)
            raise
        else:
            for name in names:
                self._server.unload(name)
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def mean_learned(found: Sequence[float], choice: Choice) -> float:
    """Return the mean over the tokens that are learned: those that the choice names, or its last ones."""
    learned = [found[position - len(choice.tokens)] for position in choice.learned] or found[-choice.scored :]
    return sum(learned) / len(learned)


def served_evaluator(engine: Served, *, model: PeftModel, objective: ScoresAnswers) -> ServedEvaluator:
    """Return the evaluator of a cell. Raises ModelError where the token's environment variable is not set."""
    token = os.environ.get(engine.token_env) if engine.token_env else None
    if engine.token_env and not token:
        raise ModelError(
            f"engine.token_env = {engine.token_env!r}: there is no such environment variable; set it to the server's token, or leave the setting out"
        )
    directory = Path(engine.adapters) if engine.adapters else None
    if directory is not None and not directory.is_dir():
        raise ModelError(f"engine.adapters = {engine.adapters!r} is no directory; give one that this machine and the server have under the same path")
    server = CompletionsServer(engine.url, token=token, timeout_s=engine.timeout_s, retries=engine.retries)
    return ServedEvaluator(model, objective=objective, server=server, directory=directory)
