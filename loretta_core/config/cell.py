"""A cell: one fully resolved fine-tuning run, as a value.

    cell_id = first 16 hex digits of sha256(canonical JSON of {schema_version, model, task, method, trainer, precision, batch_size, seed})

Fields equal to their default are left out of the JSON, so a new field with a default changes no id. Changing a default or a meaning raises SCHEMA_VERSION, or
for some tasks alone their `meaning`, which is then hashed.
Placement (`engine`), what is scored (`score_test`) and the contents of data files are not hashed; the latter are in the record as `inputs_sha256`.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from loretta_core.config.engine import Ddp, EngineConfig, Plain, Served, Zero
from loretta_core.config.method import MethodConfig
from loretta_core.config.model import ModelConfig
from loretta_core.config.task import FRESH_HEADS, ConversationTask, TaskConfig
from loretta_core.config.trainer import FirstOrderTrainer, TrainerConfig
from loretta_core.schema import Strict

SCHEMA_VERSION = 3

COMPONENTS = ("model", "task", "method", "trainer")
"""The four tables of a cell, in the order in which tables and axes show them."""


class CellConfig(Strict):
    """model × task × method × trainer, with precision, batch and seed."""

    model: ModelConfig
    """The pre-trained model."""
    task: TaskConfig
    """The data and the form of the question."""
    method: MethodConfig
    """Which parameters train."""
    trainer: TrainerConfig
    """How they train."""
    precision: Literal["fp32", "bf16", "mixed"] = "fp32"
    """Number format of the weights. PEFT methods keep the frozen ones in it (`mixed`: bf16); what they train, loss and optimizer are fp32 either way. `ft`
    trains in it: `bf16` holds weights, gradients and moments in bf16 (8 bytes per weight), `mixed` computes in bf16 and keeps fp32 copies of the weights
    and fp32 moments (16 bytes, as fp32)."""
    batch_size: int = Field(16, ge=1)
    """Global batch in rows: the sum over workers and accumulation steps."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of initialisation, batch order, dropout and zeroth-order directions."""
    engine: EngineConfig = Plain(type="plain")
    """Placement; not part of the id."""
    score_test: bool = True
    """Whether the test rows are scored; not part of the id. False for a trial of [tune], which is judged on validation rows alone."""
    keep_texts: bool = False
    """Write the texts of the test rows into predictions.json, beside their digests; not part of the id."""

    @model_validator(mode="after")
    def _pieces_divide_the_batch(self) -> Self:
        workers, pieces = self.engine.rows_in_parts, self.engine.gradient_accumulation
        if self.batch_size % (workers * pieces):
            given = f"engine.workers = {workers} times " if workers > 1 else ""
            raise ValueError(f"{given}engine.gradient_accumulation = {pieces} does not divide batch_size = {self.batch_size}")
        return self

    @model_validator(mode="after")
    def _master_copies_are_kept(self) -> Self:
        if self.precision == "mixed" and self.method.every_weight_trains and self.trainer.zeroth_order:
            raise ValueError(
                f'{self.trainer.type} with ft and precision = "mixed": master copies are of first-order trainers; use precision = "bf16", whose updates '
                'zeroth order rounds stochastically, precision = "fp32", or a PEFT method'
            )
        return self

    @model_validator(mode="after")
    def _activations_can_be_computed_again(self) -> Self:
        asked = f"engine.activation_checkpointing = {self.engine.activation_checkpointing}"
        if self.engine.activation_checkpointing and self.trainer.zeroth_order:
            raise ValueError(f"{asked}: {self.trainer.type} has no backward pass and keeps no activations; leave it out")
        if self.engine.activation_checkpointing and not self.method.recomputable:
            raise ValueError(f"{asked} with {self.method.type} tuning, whose keys and values a block cannot compute again; use another method, or leave it out")
        return self

    @model_validator(mode="after")
    def _the_optimizer_fits(self) -> Self:
        if isinstance(self.trainer, FirstOrderTrainer) and self.trainer.type != "adam" and self.precision != "fp32" and self.method.every_weight_trains:
            raise ValueError(f'{self.trainer.type} with ft and precision = "{self.precision}": only adam keeps its state in fp32 there; use adam or "fp32"')
        return self

    @model_validator(mode="after")
    def _a_quantized_base_is_frozen(self) -> Self:
        form = self.model.quantization
        if form is None:
            return self
        if self.method.every_weight_trains:
            raise ValueError(f'model.quantization = "{form}" holds frozen weights, and {self.method.type} trains them all; use a PEFT method, or leave it out')
        if isinstance(self.engine, Zero):
            raise ValueError(f'model.quantization = "{form}" with engine "zero", which splits floating-point weights; use engine "plain" or "ddp"')
        return self

    @model_validator(mode="after")
    def _engine_fits_the_trainer(self) -> Self:
        match self.engine:
            case Ddp(gpus=gpus) | Zero(gpus=gpus) if 0 < gpus < 1:
                raise ValueError(f'engine.gpus = {gpus:g} on several workers: they would share a GPU, which NCCL refuses; use whole GPUs, or engine "plain"')
            case Zero() if self.trainer.zeroth_order:
                raise ValueError(
                    f'engine "zero" splits the weights among workers, and {self.trainer.type} evaluates the loss around all of them: an empty shard cannot be '
                    'perturbed. Nor has zeroth order gradients or optimizer state to split; use engine = {type = "ddp", workers = N}, whose workers share the '
                    "batch or the directions"
                )
            case Zero() if self.trainer.type != "adam":
                raise ValueError(f'engine "zero" splits the state of a first-order optimizer, and trainer {self.trainer.type} has none; use "plain" or "ddp"')
            case Zero() if not self.method.every_weight_trains and self.precision != "fp32":
                raise ValueError(
                    f'engine "zero" with precision = "{self.precision}" casts every weight to bf16, and what {self.method.type} trains stays fp32; a PEFT '
                    'method has little state to split: use engine "ddp", or precision = "fp32"'
                )
            case Ddp(share="directions") if not self.trainer.zeroth_order:
                raise ValueError(f'engine.share = "directions": {self.trainer.type} has no random directions; use "batch"')
        return self

    @model_validator(mode="after")
    def _a_server_can_evaluate(self) -> Self:
        if not isinstance(self.engine, Served):
            return self
        trainer, told = self.trainer, 'engine "served" evaluates the losses of zeroth-order steps on a server of LoRA adapters'
        if not trainer.zeroth_order:
            raise ValueError(f'{told}, and {trainer.type} takes no such steps; use engine "plain"')
        if trainer.jumps or trainer.carries_tangent or trainer.variants_at_once > 1:
            raise ValueError(f'{told}: set learns_from = "loss", batched = false (the server batches) and another estimator than "forward_gradient"')
        if self.task.objective != "causal":
            raise ValueError(f'{told}, as log-probabilities of answers, and task.objective is "{self.task.objective}"; use "causal"')
        if (refusal := self.method.lora_refusal) is not None:
            raise ValueError(f'{told}, and {refusal}; use lora, loretta_rep with train_norms = false, or engine "plain"')
        return self

    @model_validator(mode="after")
    def _forward_gradient_has_room(self) -> Self:
        if self.trainer.carries_tangent and (self.engine.workers > 1 or (self.method.every_weight_trains and self.precision == "bf16")):
            raise ValueError(
                'trainer.estimator = "forward_gradient" differentiates on one worker, with a tangent beside fp32 parameters; use engine "plain", '
                'and a PEFT method or precision = "fp32"'
            )
        return self

    @model_validator(mode="after")
    def _variants_have_room(self) -> Self:
        if self.method.every_weight_trains and self.trainer.variants_at_once > 1:
            raise ValueError(
                "trainer.batched = true keeps a copy of what trains for each variant, and ft trains every weight; use a PEFT method, or batched = false"
            )
        return self

    @model_validator(mode="after")
    def _demonstrations_are_read(self) -> Self:
        if self.trainer.type == "icl" and self.task.objective != "causal":
            raise ValueError(f'trainer "icl" puts solved rows into a decoder\'s prompt, and task.objective is "{self.task.objective}"; use "causal"')
        return self

    @model_validator(mode="after")
    def _conversations_fit(self) -> Self:
        if isinstance(self.task, ConversationTask) and self.trainer.type == "icl":
            raise ValueError(
                f'trainer "icl" puts solved rows before a prompt of text, and {self.task.type} has turns; use "none" for the score without training'
            )
        if isinstance(self.task, ConversationTask) and self.task.packing and (self.method.virtual_tokens or self.method.peft_name == "PREFIX_TUNING"):
            raise ValueError(
                f"task.packing = true puts several rows into one sequence, and {self.method.type} puts its tokens before the first of them only; "
                "set task.packing = false, or use another method"
            )
        return self

    @model_validator(mode="after")
    def _rewards_are_of_texts(self) -> Self:
        if self.trainer.rewarded and self.task.predicts != "text":
            raise ValueError(
                f'trainer.learns_from = "reward" scores what the model writes, and {self.task.type} chooses among answers; use "metric", or a task '
                "with written answers: toy_qa, squad, drop, or jsonl with `answer`"
            )
        return self

    @cached_property
    def cell_id(self) -> str:
        """16 hex digits that name the cell's directory, MLflow run and Tune trial."""
        return self.id_under(SCHEMA_VERSION)

    def id_under(self, schema_version: int) -> str:
        """Return the id that these settings have, or would have had, under a schema version."""
        identity: dict[str, Any] = {
            "schema_version": schema_version,
            **self.model_dump(mode="json", exclude_defaults=True, exclude={"engine", "score_test", "keep_texts"}),
        }
        if schema_version == SCHEMA_VERSION and self.task.meaning > 1:
            identity["task"]["meaning"] = self.task.meaning
        canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def label(self) -> str:
        """The cell in one line: `toy-bert · toy_sentiment · lora · adam · seed 0`."""
        return " · ".join([self.model.caption, self.task.type, self.method.short_name, self.trainer.type, f"seed {self.seed}"])

    @property
    def cautions(self) -> tuple[str, ...]:
        """Combinations that run and usually disappoint, in words."""
        if self.trainer.zeroth_order and self.task.objective in FRESH_HEADS:
            return ('zeroth-order training of a fresh classification head rarely learns; use task.objective = "prompt"',)
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Return every field, defaults included, as JSON values; without `score_test` and `keep_texts`, which say nothing about the run."""
        return self.model_dump(mode="json", exclude={"score_test", "keep_texts"})

    def to_json(self) -> str:
        """Return every field, defaults included, as JSON text."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> CellConfig:
        """Return the cell that `to_json` wrote. Raises ValidationError of pydantic."""
        return cls.model_validate_json(text)
