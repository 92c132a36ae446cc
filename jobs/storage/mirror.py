"""`mirror = "s3://bucket/prefix"`: finished cells are copied to an object store; a sweep that starts elsewhere with an empty directory fetches them.

    OUT/cells/<cell_id>/…  ──as each cell is over──►  MIRROR/cells/<cell_id>/…      record.json last: what has one is complete
                           ◄──before the sweep──────  cells that are not finished in OUT

OUT itself stays a directory: its lock, journals that grow by lines and checkpoints need what an object store does not offer. So an interrupted cell resumes
only where its OUT is, and two drivers with the same mirror and different directories do not see each other: they may compute a cell twice, and lose none.
pyarrow reaches S3 (and what speaks its protocol), GCS, HDFS, or a `file:///` directory; credentials come from the environment as AWS's tools read them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.storage.ledger import read_status
from loretta_core.config import CellConfig
from loretta_core.errors import ConfigError, OutputError
from loretta_core.report.units import counted
from loretta_core.store.layout import ARRIVED_NAME, cell_directory
from loretta_core.store.predictions import PREDICTIONS_NAME
from loretta_core.store.record_files import RECORD_NAME, read_record
from loretta_core.store.records import Record

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

MAX_TRANSFERS = 4
"""Cells copied at the same time."""

_CHUNK_BYTES = 1 << 20

_LOCAL_NAMES = ("checkpoint", "shards", "error.txt", ".", ARRIVED_NAME)
"""Beginnings of names that are not copied: state of cells that can resume only here, and what is true of this directory's MLflow alone."""


@dataclass
class Mirror:
    """A prefix of an object store, and the ids of the cells that are complete there."""

    uri: str
    out: Path
    _store: FileSystem
    _prefix: str
    _complete: set[str] = field(default_factory=set)
    _scored: set[str] = field(default_factory=set)
    """Those with test scores: what is there without them may be replaced."""
    _uploaders: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(MAX_TRANSFERS, thread_name_prefix="mirror"))
    _uploads: list[Future[None]] = field(default_factory=list)

    def fetch(self, cells: Iterable[CellConfig]) -> int:
        """Copy those of the cells that are complete in the store to OUT; returns how many. What is damaged there stays there, and the cell is computed.

        A cell without the test score that it is to have is fetched where OUT does not have as much: it need not be trained again.
        """
        cells = [cell for cell in cells if cell.cell_id in self._complete]
        trained = read_status(self.out, cells).unscored
        wanted = [cell.cell_id for cell in cells if cell.cell_id in self._scored or cell.cell_id not in trained]
        with ThreadPoolExecutor(MAX_TRANSFERS) as fetchers:
            return sum(fetchers.map(self._fetch, wanted))

    def send(self, cell_id: str) -> None:
        """Copy a finished cell to the store, in the background."""
        self._uploads.append(self._uploaders.submit(self._send, cell_id))

    def send_missing(self, finished: Mapping[str, Record]) -> None:
        """Copy finished cells that the store lacks, or has without their test scores: finished without a mirror, or while it was unreachable."""
        for cell_id, record in finished.items():
            if cell_id not in self._complete or (record.digests.predictions is not None and cell_id not in self._scored):
                self.send(cell_id)

    def invalidate(self, cell_ids: Iterable[str]) -> None:
        """Delete the records of cells that are to be computed again: the store has them as complete no longer."""
        for cell_id in self._complete.intersection(cell_ids):
            self._store.delete_file(self._path(cell_id, RECORD_NAME))
            self._complete.discard(cell_id)
            self._scored.discard(cell_id)

    def close(self) -> str:
        """Wait for the copies. Returns a line about those that failed, or ""."""
        self._uploaders.shutdown(wait=True)
        failures = [error for future in self._uploads if (error := future.exception()) is not None]
        if not failures:
            return ""
        return f"{self.uri}: {counted(len(failures), 'cell')} not copied ({_first_line(failures[0])}); the next start of the sweep tries again"

    def list_complete(self) -> None:
        """List the store once, to know the cells that are complete there. Raises OSError when it cannot be read."""
        from pyarrow.fs import FileSelector, FileType

        bucket = self._prefix.split("/")[0]
        if bucket and self._store.get_file_info(bucket).type == FileType.NotFound:
            raise FileNotFoundError(f"there is no bucket {bucket}")
        found = self._store.get_file_info(FileSelector(f"{self._prefix}/cells", allow_not_found=True, recursive=True))
        names = [each.path.split("/")[-2:] for each in found]
        self._complete = {cell_id for cell_id, name in names if name == RECORD_NAME}
        self._scored = {cell_id for cell_id, name in names if name == PREDICTIONS_NAME} & self._complete

    def _fetch(self, cell_id: str) -> bool:
        """Copy one cell to OUT/arriving, and into its place if its record is whole; return whether it was."""
        from pyarrow.fs import FileSelector, FileType

        target, arriving = cell_directory(self.out, cell_id), self.out / "arriving" / cell_id
        shutil.rmtree(arriving, ignore_errors=True)
        root = self._path(cell_id)
        for each in self._store.get_file_info(FileSelector(root, recursive=True)):
            if each.type == FileType.File:
                self._fetch_file(each.path, arriving / each.path.removeprefix(root + "/"))
        try:
            complete = read_record(arriving).status == "finished"
        except OutputError:
            complete = False
        if complete:
            shutil.rmtree(target, ignore_errors=True)  # what an interrupted or failed attempt left here
            target.parent.mkdir(parents=True, exist_ok=True)
            arriving.rename(target)
        return complete

    def _fetch_file(self, path: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._store.open_input_stream(path) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, _CHUNK_BYTES)

    def _send(self, cell_id: str) -> None:
        """Copy one cell to the store, its record last."""
        directory = cell_directory(self.out, cell_id)
        files = [path for path in sorted(directory.rglob("*")) if path.is_file() and not path.relative_to(directory).parts[0].startswith(_LOCAL_NAMES)]
        for path in sorted(files, key=lambda path: path == directory / RECORD_NAME):  # the record last
            place = self._path(cell_id, path.relative_to(directory).as_posix())
            if self._store.type_name == "local":
                self._store.create_dir(place.rpartition("/")[0])
            with path.open("rb") as source, self._store.open_output_stream(place) as file:
                shutil.copyfileobj(source, file, _CHUNK_BYTES)

    def _path(self, *parts: str) -> str:
        return "/".join((self._prefix, "cells", *parts))


@contextmanager
def open_mirror(uri: str | None, *, out: Path, say: Callable[[str], None]) -> Iterator[Mirror | None]:
    """Open the mirror of a sweep, None without one; at the end, wait for its copies and say which failed. Raises ConfigError when the store cannot be read."""
    if uri is None:
        yield None
        return
    mirror = _connect(uri, out)
    try:
        yield mirror
    finally:
        problem = mirror.close()
        shutil.rmtree(out / "arriving", ignore_errors=True)
        if problem:
            say(problem)


def _connect(uri: str, out: Path) -> Mirror:
    from pyarrow.fs import FileSystem  # a second of import that a sweep without a mirror need not pay

    try:
        store, prefix = FileSystem.from_uri(uri)
        mirror = Mirror(uri, out, store, prefix.rstrip("/"))
        mirror.list_complete()
    except (OSError, ValueError) as error:  # pyarrow's own errors are these
        raise ConfigError(
            f'mirror = "{uri}": cannot be read ({_first_line(error)}); expected a prefix of an existing bucket, such as s3://bucket/prefix, with '
            "credentials and AWS_ENDPOINT_URL in the environment, or leave `mirror` out"
        ) from None
    return mirror


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
