"""TOML as people write it: parsed within limits, so that a text that is made to hurt is refused in a moment, here and on a server.

    size     MAX_BYTES of text               Python's parser takes 0.1 s for so much
    depth    MAX_DEPTH of tables and lists   deeper ones exhaust Python's stack; a dotted key of n parts costs n² steps
    digits   MAX_DIGITS                      of a number; Python refuses integers of more than 4,300 with an error of its own

All three are known from one pass over the text, before it is parsed.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from loretta_core.errors import ConfigError

Table = dict[str, Any]
"""A TOML table."""

MAX_BYTES = 200_000
MAX_DEPTH = 32
MAX_DIGITS = 300

_TOKEN = re.compile(
    r'''
      (?P<text> """ (?: [^\\"] | \\. | "(?!"") )*+ (?: """ | \Z )      # strings and comments may hold anything; an open one ends the text or the line
              | \'\'\' (?: [^'] | '(?!'') )*+ (?: \'\'\' | \Z )
              | " (?: [^\\"\n] | \\. )*+ "?
              | ' [^'\n]*+ '?
              | \#[^\n]*+ )
    | (?P<number> [+-]? [0-9] [A-Za-z0-9_+-]*+ )
    | [A-Za-z_-] [A-Za-z0-9_+-]*+
    | (?P<open> [\[{] )
    | (?P<close> [\]}] )
    | (?P<dot> \. )
    | (?P<next> [=,\n] )
    ''',
    re.VERBOSE | re.DOTALL,
)


def read_toml(path: Path) -> Table:
    """Parse a sweep file. Raises ConfigError for none, for one beyond the limits, and with line and column for one that is not TOML."""
    if not path.is_file():
        raise ConfigError("no such file. Sweeps that come with the project are in jobs/sweeps/")
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError(f"{path.stat().st_size:,} bytes; a sweep file has at most {MAX_BYTES:,}")
    try:
        return parse_toml(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"not valid TOML, which is UTF-8: {error}; save the file as UTF-8") from None


def parse_toml(text: str) -> Table:
    """Parse TOML. Raises ConfigError for a text beyond the limits, and with line and column for one that is not TOML."""
    try:
        return _parse(text)
    except ValueError as error:
        raise error if isinstance(error, ConfigError) else ConfigError(f"not valid TOML: {error}") from None


def parse_override(text: str) -> tuple[str, Any]:
    """Return key and value of an override, `trainer.lr=1e-3` → ("trainer.lr", 0.001). The value is TOML; a word that is not is taken as a string."""
    key, separator, value = (part.strip() for part in text.partition("="))
    if not separator or not key:
        raise ConfigError(f"--set {text[:80]!r}: expected key=value, e.g. --set method.tensor_rank=4")
    try:
        if key.count(".") >= MAX_DEPTH:
            raise ConfigError(f"a key of {key.count('.') + 1:,} parts; at most {MAX_DEPTH}")
        table = _parse(f"value = {value}")
    except ConfigError as error:
        raise ConfigError(f"--set {key[:80]}: {error}") from None
    except ValueError:
        return key, value
    return key, table["value"] if len(table) == 1 else value  # a second line of a text may look like a setting


def _parse(text: str) -> Table:
    """Parse TOML within the limits. Raises ConfigError beyond them, TOMLDecodeError (or another ValueError, of an impossible date) for what is not TOML."""
    size = len(text.encode())
    if size > MAX_BYTES:
        raise ConfigError(f"{size:,} bytes of TOML; at most {MAX_BYTES:,}")
    _check_limits(text)
    return tomllib.loads(text)


def _check_limits(text: str) -> None:
    """Raise ConfigError, with the line, where brackets or the parts of a key are nested too deeply, or a number or a name is too long."""
    brackets = parts = 0
    for token in _TOKEN.finditer(text):
        match token.lastgroup:
            case "number" if token.end() - token.start() > MAX_DIGITS:
                raise ConfigError(f"line {_line(text, token)}: a number of {token.end() - token.start():,} digits; at most {MAX_DIGITS}")
            case "dot":
                parts += 1
            case "next":
                parts = 0
            case "open":
                brackets, parts = brackets + 1, 0
            case "close":
                brackets, parts = brackets - 1, 0
        if max(brackets, parts) >= MAX_DEPTH:
            raise ConfigError(f"line {_line(text, token)}: tables, lists or the parts of a key nested {MAX_DEPTH} deep or more; a sweep needs five")


def _line(text: str, token: re.Match[str]) -> int:
    return text.count("\n", 0, token.start()) + 1
