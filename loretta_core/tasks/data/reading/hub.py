"""Rows of a data set on the hub, or in its local cache, through `datasets`. An address is `hf://owner/name:split`, or `hf://owner/name/configuration:split`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from loretta_core.errors import DataError

Item = dict[str, Any]
PREFIX = "hf://"
_ADDRESS = re.compile(r"hf://(?P<hub>[\w.-]+/[\w.-]+)(/(?P<part>[\w.-]+))?:(?P<split>[\w.\[\]:%+-]+)")


def parse_address(address: str) -> tuple[str, str | None, str]:
    """Return data set, configuration and split of an address. Raises DataError."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise DataError(f"{address!r}: expected hf://owner/name:split or hf://owner/name/configuration:split, e.g. hf://nyu-mll/glue/sst2:train")
    return found["hub"], found["part"], found["split"]


def hub_rows(hub: str, part: str | None, split: str) -> Iterator[tuple[int, Item]]:
    """Return an iterator over (number, row) of a split, which `datasets` maps from Arrow files. Raises DataError that says how to fetch what is not at hand."""
    try:
        import datasets
    except ImportError:
        raise DataError(f"data set {hub!r} is read by the package datasets: pip install datasets; or set task.path to a directory") from None
    try:
        rows: Any = datasets.load_dataset(hub, part, split=split)
        return enumerate(rows, start=1)
    except (OSError, ValueError) as error:  # offline and not in the cache; ConnectionError and DatasetNotFoundError are OSErrors
        raise DataError(
            f"data set {hub!r} is not in the local hub cache and the hub did not serve it. Fetch it where there is a network: "
            f"`hf download --repo-type dataset {hub} --local-dir DIR`, then set task.path = DIR. ({str(error).splitlines()[0]})"
        ) from None
