"""Back up an output directory and MLflow's database into one file, and restore them.

    python cluster/backup.py save outputs backup.tar          # LORETTA_STORE=postgresql://… for a database that is not in outputs
    python cluster/backup.py restore backup.tar outputs       # into an empty directory, and an empty or older database

Works while sweeps run. Files are taken before the database: a cell that finishes in between is in MLflow and not in the ledger; it computes again and finds its
run. The other way round its metrics would be missing in MLflow for good. SQLite is copied by its own backup, PostgreSQL by pg_dump. Every file has its sha256
in the backup, which is checked before anything is written; records are read once more afterwards. Artifacts in S3 are not in it. Restore under the same path:
MLflow keeps absolute addresses of artifacts.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from loretta_core.errors import ConfigError, LorettaError
from loretta_core.store.record_files import find_records

MANIFEST = "backup.json"
SQLITE = ("mlflow.db", "mlflow-users.db")
"""SQLite files in an output directory: runs, and the users of MLflow's login."""
POSTGRES = "database/mlflow.dump"
FORMAT = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 when done, 1 when the backup is damaged or a tool failed, 2 for a wrong request."""
    options = argument_parser().parse_args(arguments)
    store = os.environ.get("LORETTA_STORE", "")
    try:
        if options.command == "save":
            count = save(options.out, options.file, store=store)
            print(f"{options.file}: {count} files and MLflow's database")
        else:
            records = restore(options.file, options.out, store=store)
            print(f"{options.out}: {records} records, all readable")
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except LorettaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def save(out: Path, file: Path, *, store: str = "") -> int:
    """Write the backup atomically, readable by its user alone, and return the number of files of `out` in it. Raise ConfigError for a foreign directory."""
    if not (out / "FORMAT.json").is_file():
        raise ConfigError(f"{out}: not an output directory (no FORMAT.json)")
    sums: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=file.resolve().parent, prefix=".backup-") as scratch:
        made = Path(scratch) / "backup.tar"
        made.touch(mode=0o600)
        with tarfile.open(made, "w") as tar:
            for path in _files(out):
                _add(tar, path, f"out/{path.relative_to(out)}", sums)
            count = len(sums)
            for copy in _dumps(out, Path(scratch), store=store):
                _add(tar, copy, f"database/{copy.name}", sums)
            manifest = json.dumps({"format": FORMAT, "sha256": sums}, indent=1).encode()
            entry = tarfile.TarInfo(MANIFEST)
            entry.size = len(manifest)
            tar.addfile(entry, io.BytesIO(manifest))
        made.replace(file)
    return count


def restore(file: Path, out: Path, *, store: str = "") -> int:
    """Restore a backup and return the number of records in it. Raise ConfigError for a directory that is not empty, LorettaError for damage."""
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out}: not empty; restore into a directory of its own, or move this one away")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.resolve().parent, prefix=".restore-") as scratch:
        names = _extract(file, Path(scratch))
        if (POSTGRES in names) != bool(store):
            what = "of PostgreSQL; name one in LORETTA_STORE" if POSTGRES in names else "in SQLite; unset LORETTA_STORE"
            raise ConfigError(f"{file}: the database in it is {what}")
        if POSTGRES in names:
            _postgres(["pg_restore", "--clean", "--if-exists", "--no-owner", "--exit-on-error", "--single-transaction"], store, Path(scratch) / POSTGRES)
        for name in SQLITE:
            if f"database/{name}" in names:
                (Path(scratch) / "database" / name).replace(Path(scratch) / "out" / name)
        out.mkdir(exist_ok=True)
        for path in (Path(scratch) / "out").iterdir():
            path.replace(out / path.name)
    found = find_records(out)
    if found.damaged:
        raise LorettaError(f"{out}: {len(found.damaged)} records cannot be read, e.g. that of {next(iter(found.damaged))}; those cells run again")
    return len(found.records)


def _files(out: Path) -> Iterator[Path]:
    """Yield the files to back up: all but MLflow's databases, temporary files, locks, and logs of servers."""
    for path in sorted(out.rglob("*")):
        name = path.name
        written_by_ray = path.relative_to(out).parts[2:3] in (("train",), ("tune",))
        transient = name.endswith((".tmp", ".lock", "-server.log")) or name.startswith(SQLITE) or written_by_ray
        if path.is_file() and not path.is_symlink() and not transient:
            yield path


def _add(tar: tarfile.TarFile, path: Path, name: str, sums: dict[str, str]) -> None:
    """Add a file as it is now, a piece at a time: a journal that grows meanwhile is cut at the size that it had."""
    try:
        file = path.open("rb")
    except FileNotFoundError:  # an old checkpoint, replaced between listing and reading
        return
    with file:
        state, entry = os.fstat(file.fileno()), tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = state.st_size, int(state.st_mtime), state.st_mode & 0o777
        hashing = _HashingReader(file)
        tar.addfile(entry, hashing)
        sums[name] = hashing.sha256.hexdigest()


class _HashingReader(io.RawIOBase):
    """A file that is hashed as it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        piece = self._file.read(size)
        self.sha256.update(piece)
        return piece


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _extract(file: Path, target: Path) -> set[str]:
    """Unpack and compare with the sums; nothing outside `target` is written."""
    try:
        with tarfile.open(file) as tar:
            tar.extractall(target, filter="data")
        manifest = json.loads((target / MANIFEST).read_bytes())
    except (OSError, tarfile.TarError, json.JSONDecodeError) as error:
        raise ConfigError(f"{file}: not a backup, or cut off ({error})") from None
    if manifest["format"] != FORMAT:
        raise ConfigError(f"{file}: format {manifest['format']}, expected {FORMAT}")
    for name, expected in manifest["sha256"].items():
        path = target / name
        if not path.is_file() or _sha256(path) != expected:
            raise LorettaError(f"{file}: {name} is damaged; nothing was restored")
    return set(manifest["sha256"])


def _dumps(out: Path, scratch: Path, *, store: str) -> Iterator[Path]:
    """Copy the databases into `scratch`: those in `out`, and PostgreSQL's when there is a `store`. Yield the copies."""
    for name in SQLITE:
        if (out / name).is_file():
            with closing(sqlite3.connect(out / name, timeout=60)) as source, closing(sqlite3.connect(scratch / name)) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")  # one file, whole in itself
            yield scratch / name
    if store:
        dump = scratch / Path(POSTGRES).name
        dump.touch(mode=0o600)
        _postgres(["pg_dump", "--format=custom", "--no-owner", "--file"], store, dump)
        yield dump


def _postgres(command: Sequence[str], store: str, file: Path) -> None:
    """Run a tool of PostgreSQL. The password goes through its environment: an argument would show it to every user of the machine."""
    connection = connection_environment(store)
    words = [*command, str(file)] if command[0] == "pg_dump" else [*command, "--dbname", connection["PGDATABASE"], str(file)]
    try:
        done = subprocess.run(words, env={**os.environ, **connection}, capture_output=True, text=True)
    except FileNotFoundError:
        raise ConfigError(f"{command[0]} not found: install PostgreSQL's client, of the server's version or newer") from None
    if done.returncode:
        raise LorettaError(f"{command[0]} failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}")


def connection_environment(store: str) -> Mapping[str, str]:
    """Return LORETTA_STORE as libpq's variables. Raise ConfigError for anything but postgresql://USER[:PASSWORD]@HOST[:PORT]/DATABASE."""
    parts = urlsplit(store)
    if parts.scheme not in ("postgresql", "postgresql+psycopg2") or not parts.hostname or not parts.path.strip("/"):
        raise ConfigError(f"LORETTA_STORE = {parts.scheme}://…: expected postgresql://USER:PASSWORD@HOST/DATABASE")
    found = {"PGHOST": parts.hostname, "PGPORT": str(parts.port or 5432), "PGDATABASE": parts.path.strip("/")}
    if parts.username:
        found["PGUSER"] = unquote(parts.username)
    if parts.password:
        found["PGPASSWORD"] = unquote(parts.password)
    return found


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="python cluster/backup.py", description="Back up an output directory and MLflow's database, and bring them back.")
    commands = made.add_subparsers(dest="command", required=True)
    saving = commands.add_parser("save", help="write a backup")
    saving.add_argument("out", type=Path, help="output directory")
    saving.add_argument("file", type=Path, help="where to write")
    restoring = commands.add_parser("restore", help="bring a backup back")
    restoring.add_argument("file", type=Path, help="the backup")
    restoring.add_argument("out", type=Path, help="directory that is empty or does not exist")
    return made


if __name__ == "__main__":
    sys.exit(main())
