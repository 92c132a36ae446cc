"""Engines: the processes and pieces that a cell is computed in. Placement is recorded with a cell and never part of its identity.

plain    one process on one device
ddp      several processes, each with the whole model; they share every batch (or, zeroth order, the directions of every step)
zero     several processes that share optimizer state, gradients and weights (DeepSpeed ZeRO, arXiv 1910.02054)
served   one process that steps, and an inference server (vLLM) that evaluates the losses of zeroth-order steps
auto     whichever of these is the cheapest that fits; settled before anything starts
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from loretta_core.schema import Typed


class _Placement(Typed):
    gradient_accumulation: int = Field(1, ge=1)
    """Pieces a worker's part of a batch is cut into to save memory; must divide it. The result is that of the whole batch up to rounding."""
    cpus: float = Field(1.0, gt=0)
    """CPU cores a worker takes; torch computes on as many threads."""
    activation_checkpointing: int = Field(0, ge=0)
    """1 computes every block again in the backward pass instead of keeping its activations, 2 every second one, …; 0 keeps all. The same result, up to a third
    more time. For first-order trainers (arXiv 1604.06174)."""
    gpus: float = Field(0.0, ge=0)
    """GPUs a worker takes; 0 computes on the CPU, a share such as 0.25 lets several small cells compute on one GPU at the same time."""

    @model_validator(mode="after")
    def _gpus_are_whole_or_a_share_of_one(self) -> Self:
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError(f"gpus = {self.gpus:g}: expected a whole number, or a share of one GPU below 1")
        return self

    @property
    def rows_in_parts(self) -> int:
        """Workers among which the rows of a batch are split."""
        return 1

    @property
    def sharded(self) -> bool:
        """True if no worker holds all weights."""
        return False


class Plain(_Placement):
    """One process on one device."""

    type: Literal["plain"]
    workers: ClassVar[int] = 1


class Ddp(_Placement):
    """Several processes, each with the whole model (data parallel). Works with every method and trainer."""

    type: Literal["ddp"]
    workers: int = Field(2, ge=1)
    """Processes; for first-order trainers they must divide the batch."""
    share: Literal["batch", "directions"] = "batch"
    """What the workers share. `batch`: each computes its rows; gradients (first order) or losses (zeroth order) are averaged. `directions`, zeroth order only:
    each evaluates some of a step's directions on the whole batch, bitwise the run of one worker. Scalars are all that zeroth-order workers exchange."""

    @property
    def rows_in_parts(self) -> int:
        """Workers among which the rows of a batch are split."""
        return self.workers if self.share == "batch" else 1


class Zero(_Placement):
    """Several processes that share the training state (DeepSpeed ZeRO). For `adam`; needs the extra `deepspeed`."""

    type: Literal["zero"]
    stage: Literal[1, 2, 3] = 2
    """What is split among the workers: 1 optimizer state, 2 gradients too, 3 weights too."""
    workers: int = Field(2, ge=1)
    """Processes; they must divide the batch."""
    offload: Literal["none", "cpu", "nvme"] = "none"
    """Where optimizer state (stage 3: weights too) lies between its uses: on the device, in host memory, on a fast disk."""
    nvme_path: str | None = None
    """Directory on a fast local disk, for offload = "nvme" (stage 3 only)."""

    @property
    def rows_in_parts(self) -> int:
        """Workers among which the rows of a batch are split."""
        return self.workers

    @property
    def sharded(self) -> bool:
        """True if no worker holds all weights."""
        return self.stage == 3

    @model_validator(mode="after")
    def _disk_is_named(self) -> Self:
        if (self.offload == "nvme") != (self.nvme_path is not None):
            raise ValueError(f'offload = "{self.offload}" with nvme_path = {self.nvme_path!r}: "nvme" needs a directory on a fast local disk, the others none')
        if self.offload == "nvme" and self.stage != 3:
            raise ValueError(f'offload = "nvme" works at stage 3 only, and stage is {self.stage}; use stage = 3, or offload = "cpu"')
        return self


class Served(_Placement):
    """One process, with the losses of zeroth-order steps evaluated by an inference server: variants are LoRA adapters there. For `lora` and `loretta_rep`.

    The server has vLLM's API, the model's base, and reads adapters from this machine's disk (VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, --enable-lora).
    """

    type: Literal["served"]
    workers: ClassVar[int] = 1
    url: str = "http://127.0.0.1:8000"
    """Address of the server, without a path."""
    token_env: str | None = None
    """Environment variable with the server's token; None sends none."""
    adapters: str | None = None
    """Directory for the adapters of a step, which the server has under the same path; None is that for temporary files. Nothing stays there."""
    timeout_s: float = Field(600.0, gt=0)
    """Seconds to wait for an answer."""
    retries: int = Field(5, ge=0)
    """Further tries, with growing pauses, where the server is away; then the cell has failed."""


class Auto(_Placement):
    """The first engine that fits the machine, cheapest first: plain, then ZeRO 1, 2, 3 on more and more devices, then with offload to host memory."""

    type: Literal["auto"]
    workers: ClassVar[int] = 1
    device: str | None = None
    """Name in the device table (`loretta plan --device`), with `:N` for N of them; None takes the machines the sweep finds."""


EngineConfig = Annotated[Plain | Ddp | Zero | Served | Auto, Field(discriminator="type")]
