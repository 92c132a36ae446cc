"""Builds the shipped models: `python -m loretta_core.assets.build [toy-bert|toy-llama]`. Seeded; README.md beside this file has times, sizes and scores."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from loretta_core.assets import toy_bert, toy_llama

MODELS: dict[str, Any] = {"toy-bert": toy_bert, "toy-llama": toy_llama}

log = logging.getLogger(__name__)


def main() -> None:
    """Build the models that the command line names."""
    parser = argparse.ArgumentParser(description="Pre-train the shipped models on generated text.")
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{' or '.join(MODELS)} (default: all)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="directory that gets a directory per model (default: where they are shipped)")
    parser.add_argument("--steps", type=int, help="training steps (default: the model's own)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if strangers := [name for name in options.models if name not in MODELS]:
        parser.error(f"unknown model {strangers[0]!r}; the models are {', '.join(MODELS)}")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name in options.models or MODELS:
        build(name, options.out / name, steps=options.steps or MODELS[name].STEPS, seed=options.seed)


def build(name: str, out: Path, *, steps: int, seed: int) -> None:
    """Pre-train and save model and tokenizer to `out`."""
    model, tokenizer = MODELS[name].pretrained(steps=steps, seed=seed)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    log.info("saved %s: %d parameters", out, sum(parameter.numel() for parameter in model.parameters()))


if __name__ == "__main__":
    main()
