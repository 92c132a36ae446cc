"""The pre-trained model that a cell starts from."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field

from loretta_core.schema import Typed

TOY_MODELS = ("toy-bert", "toy-llama")
"""Small checkpoints that ship with the package (see loretta_core/assets/README.md)."""

Quantization = Literal["8bit", "nf4", "fp4", "int8", "float8"]
BITSANDBYTES = ("8bit", "nf4", "fp4")
"""Formats of bitsandbytes; the others are torchao's."""


class Pretrained(Typed):
    """A checkpoint in Hugging Face format: shipped with us, on the hub, or in a local directory."""

    type: Literal["pretrained"]
    name: str = Field(min_length=1)
    """`toy-bert` or `toy-llama` (shipped), a hub id such as `roberta-base`, or the path of a local checkpoint directory."""
    revision: str | None = None
    """Branch, tag or commit of a hub id; None means the default branch."""
    trust_remote_code: bool = False
    """Run Python code that the checkpoint brings along. Off by default: it runs with your rights."""
    quantization: Quantization | None = None
    """Format in which the frozen linear layers are held: `8bit`, `nf4`, `fp4` (bitsandbytes; nf4 as in QLoRA, arXiv 2305.14314), `int8`, `float8`
    (torchao, weights alone). Embeddings, norms, heads and what trains keep `precision`. For every method but `ft`; needs the extra `quantized`."""

    @property
    def caption(self) -> str:
        """The last part of the name, as tables show it, and its quantization."""
        name = PurePosixPath(self.name.rstrip("/")).name
        return f"{name} ({self.quantization})" if self.quantization else name


ModelConfig = Pretrained
