"""Files of a trained adapter: their digest for the record, and whether they are whole. Reads headers and bytes, no tensors.

    OUT/cells/<cell_id>/adapter/*     the record has one sha256 over all of them

A safetensors file is 8 bytes with the length of its header, the header (JSON: tensor → first and last byte of its data), and the data.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

from loretta_core.errors import OutputError

ADAPTER_NAME = "adapter"


def adapter_digest(directory: Path) -> str:
    """Return the sha256 over the names and contents of all files below a directory, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(directory).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def check_adapter(directory: Path, *, digest: str | None) -> None:
    """Check that an adapter has weights, that they are whole, and that its files have the digest of its record.

    Args:
        digest: None for records from before it was kept; then only the headers are checked.
    Raises OutputError that names the file.
    """
    try:
        weights = sorted(directory.glob("*.safetensors"))
        if not weights:
            raise OutputError(f"{directory}: damaged (it has no weights, *.safetensors)")
        for path in weights:
            _check_safetensors(path)
        if digest is not None and adapter_digest(directory) != digest:
            raise OutputError(f"{directory}: damaged (its files do not have the sha256 that the record says)")
    except OSError as error:
        raise OutputError(f"{error.filename or directory}: damaged (cannot be read: {error.strerror})") from None


def _check_safetensors(path: Path) -> None:
    """Check that the header of a file can be read, and that the data is as long as it says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > size - 8:
            raise OutputError(f"{path}: damaged (no complete header of a safetensors file)")
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            data = max(ends, default=0)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            raise OutputError(f"{path}: damaged (its header is not that of a safetensors file)") from None
    if data != size - 8 - length:
        raise OutputError(f"{path}: damaged (its tensors end at byte {8 + length + data} by its header, the file at byte {size})")
