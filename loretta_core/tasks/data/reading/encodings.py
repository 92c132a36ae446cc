"""Bytes → text: gzip, byte-order marks, UTF-8, and a guess for what is none of them.

A file without a mark that is no UTF-8 is of a code page that it does not name. Few letters beyond ASCII mean a Western text with accents, read as Windows-1252
(Latin-1 with typographic quotes); charset-normalizer decides about the others, for which it has more to go by. What was found is told.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from charset_normalizer import from_bytes

from loretta_core.errors import DataError

_GZIP = b"\x1f\x8b"
_MARKS = (
    *((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16")),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte-order marks, UTF-32's before UTF-16's, which they begin with."""

ACCENTS = 0.2
"""Largest share of bytes beyond ASCII among the letters of a text that is taken for a Western one with accents."""


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, decompressed if it is gzip. Raises DataError."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(_GZIP) else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def decode(data: bytes, *, encoding: str | None, place: str) -> tuple[str, str | None]:
    """Return the text of a file without its byte-order mark, and the encoding if it had to be guessed. Raises DataError at bytes that it does not have."""
    found = encoding or _marked(data) or "utf-8"
    try:
        return data.decode(found).removeprefix("\ufeff"), None
    except LookupError:
        raise DataError(f"{place}: task.encoding = {encoding!r} is no encoding that Python knows; e.g. utf-8, cp1252, utf-16") from None
    except UnicodeDecodeError as error:
        if encoding is not None or _marked(data):
            line = data[: error.start].count(b"\n") + 1
            raise DataError(f"{place}:{line}: not {found} ({error.reason} at byte {error.start} of the file); set task.encoding to the one it has") from None
    guess = _guess(data)
    if guess is None:
        raise DataError(f"{place}: neither UTF-8 nor of an encoding that can be told from its bytes; set task.encoding, e.g. cp1252, or convert the file")
    return data.decode(guess), guess


def lines_of(text: str) -> Iterator[str]:
    """Yield the lines of a text one by one, as `text.split("\\n")` does at once: no other separators, which JSON strings and cells may hold."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def _marked(data: bytes) -> str | None:
    """Return the encoding that a byte-order mark names, or UTF-16 where every second byte is 0 in the beginning, as in ASCII text without a mark."""
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    head = data[:64]
    if marked is None and len(head) >= 4 and not len(data) % 2:
        even, odd = head[0::2], head[1::2]
        return "utf-16-le" if not any(odd) and all(even) else "utf-16-be" if not any(even) and all(odd) else None
    return marked


def _guess(data: bytes) -> str | None:
    high = sum(byte > 127 for byte in data)
    letters = high + sum(chr(byte).isalpha() for byte in data if byte < 128)
    if high <= ACCENTS * letters and 0 not in data:
        return next((name for name in ("cp1252", "latin-1") if _decodes(data, name)), None)
    best = from_bytes(data).best()
    return None if best is None or not _decodes(data, best.encoding) else best.encoding


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return False
    return True
