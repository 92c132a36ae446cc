"""The table of architectures in loretta_core/README.md, made from the code: by which rule, which layers, how far planned.

python -m tests.structure.architectures            # print it
python -m tests.structure.architectures --write    # into loretta_core/README.md
"""

import sys

import torch

from loretta_core.adapters.tuners.backbone.network import is_decoder, linears_at
from loretta_core.adapters.tuners.linear_tuner import linear_paths
from loretta_core.plan.architectures.overview import COLUMNS, overview
from loretta_core.sites import BY_RULE, Architecture
from loretta_core.structure import structural_sites
from tests.by_rule import build
from tests.paths import ROOT

README = ROOT / "loretta_core" / "README.md"
BEGIN = "<!-- architectures: written by `python -m tests.structure.architectures --write` -->\n"
END = "<!-- end of the architectures -->\n"


def table() -> str:
    """Return the table as Markdown; the layers that the rule finds are those of real models on the meta device."""
    rows = overview({model_type: _sites(model_type) for model_type in BY_RULE})
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(_marked(row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _sites(model_type: str) -> Architecture:
    with torch.device("meta"):
        model = build(model_type)
    return structural_sites(linears_at(model, linear_paths(model)), decoder=is_decoder(model.config.to_dict()))


def _marked(row: tuple[str, ...]) -> tuple[str, ...]:
    names, last = row[2:-1], row[-1]
    return (f"`{row[0]}`", row[1], *(f"`{name}`" if name else "" for name in names), last)


def printed() -> str:
    """Return the table as the README has it."""
    return README.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]


def write() -> None:
    """Replace the table in the README by that of the code."""
    text = README.read_text(encoding="utf-8")
    README.write_text(text.replace(f"{BEGIN}{printed()}{END}", f"{BEGIN}{table()}{END}"), encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write()
    else:
        sys.stdout.write(table())
