"""A note in the model card of saved adapters: PEFT alone does not know their type.

PEFT's own message in that case is a bare `KeyError: 'LORETTA_ADP'`, which cannot be changed from outside; so the model card says it.
"""

from __future__ import annotations

from pathlib import Path

NOTE = """
## How to load

The type of this adapter is not part of PEFT: `import loretta_core` registers it, and without it PEFT answers with a `KeyError`.

```python
import loretta_core
from peft import PeftModel

model = PeftModel.from_pretrained(base, "path/to/this/directory")
```
"""


def add_import_note(directory: str | Path) -> None:
    """Append the note to the card that PEFT wrote, once. Named adapters lie one level below their card."""
    for folder in (Path(directory), Path(directory).parent):
        card = folder / "README.md"
        if card.is_file() and "library_name: peft" in (text := card.read_text(encoding="utf-8")):
            if "import loretta_core" not in text:
                card.write_text(text.rstrip("\n") + "\n" + NOTE, encoding="utf-8")
            return
