"""A section in the model card of saved adapters: how to load it, since PEFT alone does not know its type, and where it sits.

PEFT's own message in that case is a bare `KeyError: 'LORETTA_ADP'`, which cannot be changed from outside; so the model card says it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from loretta_core.store.adapter_card import adapter_facts, adapter_snippet

NOTE = """
## How to load

The type of this adapter is not part of PEFT: `import loretta_core` registers it, and without it PEFT answers with a `KeyError`.

```python
{snippet}
```

## What it is

{facts}
"""


def add_import_note(directory: str | Path) -> None:
    """Append the section to the card that PEFT wrote, once. Named adapters lie one level below their card."""
    adapter = json.loads((Path(directory) / "adapter_config.json").read_text(encoding="utf-8"))
    for folder in (Path(directory), Path(directory).parent):
        card = folder / "README.md"
        if card.is_file() and "library_name: peft" in (text := card.read_text(encoding="utf-8")):
            if "import loretta_core" not in text:
                card.write_text(text.rstrip("\n") + "\n" + _section(adapter), encoding="utf-8")
            return


def _section(adapter: Mapping[str, Any]) -> str:
    base = [("base model", f"`{adapter.get('base_model_name_or_path') or 'not named'}`"), ("revision", str(adapter.get("revision") or "not pinned"))]
    versions = ", ".join(f"{name} {version(name)}" for name in ("loretta-on-ray", "peft", "transformers", "torch"))
    facts = [*base, *adapter_facts(adapter), ("versions", versions)]
    return NOTE.format(snippet=adapter_snippet(adapter, directory="path/to/this/directory"), facts="\n".join(f"- {name}: {value}" for name, value in facts))
