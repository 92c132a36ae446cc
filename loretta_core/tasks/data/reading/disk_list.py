"""Lists that lie on disk: rows and tokens of files too large for Python's objects, which take a kilobyte a row and more.

    items ──pickle──► one nameless temporary file, and the offset of each item in memory (8 bytes)

Reading an item reads its bytes from the file, so that they do not count as memory of the process, as those of a mapped file would; the operating system caches
what is read often. The file has no name: nobody else can write it, and it goes with the list, or with the process however that ends. TMPDIR says where it is.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar, overload

T = TypeVar("T")

LARGE_ROWS = 200_000
"""Lists of more items go to disk."""
_BUFFER = 1 << 20


class DiskList(Sequence[T], Generic[T]):
    """A sequence whose items are read from disk. `measure` gives a number of each item that `measures` keeps, such as its length in tokens."""

    def __init__(self, items: Iterable[T], *, measure: Callable[[T], int] | None = None) -> None:
        self._file = tempfile.TemporaryFile(buffering=_BUFFER, prefix="loretta-rows-")  # noqa: SIM115 - closed with the list
        weakref.finalize(self, self._file.close)
        self._ends = array("q", [0])
        self.measures = array("q")
        for item in items:
            data = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
            self._file.write(data)
            self._ends.append(self._ends[-1] + len(data))
            if measure is not None:
                self.measures.append(measure(item))
        self._file.flush()

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        """Return an item, or the view of a slice."""
        if isinstance(index, slice):
            return Chosen(self, range(len(self))[index])
        place = range(len(self))[index]
        return self._read(os.pread(self._file.fileno(), self._ends[place + 1] - self._ends[place], self._ends[place]))

    def __iter__(self) -> Iterator[T]:
        """Read the items in order, many at once."""
        place = 0
        while place < len(self):
            start, stop = self._ends[place], place + 1
            while stop < len(self) and self._ends[stop] - start < _BUFFER:
                stop += 1
            data = memoryview(os.pread(self._file.fileno(), self._ends[stop] - start, start))
            for index in range(place, stop):
                yield self._read(data[self._ends[index] - start : self._ends[index + 1] - start])
            place = stop

    @staticmethod
    def _read(data: bytes | memoryview) -> T:
        return pickle.loads(data)  # noqa: S301 - written by this object alone


class Chosen(Sequence[T], Generic[T]):
    """The items of a sequence at some indices, in their order."""

    def __init__(self, items: Sequence[T], indices: Sequence[int]) -> None:
        self._items = items
        self._indices = indices if isinstance(indices, range) else array("q", indices)

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        """Return an item, or the view of a slice."""
        return Chosen(self._items, self._indices[index]) if isinstance(index, slice) else self._items[self._indices[index]]


class Mapped(Sequence[T], Generic[T]):
    """A sequence of what a function makes of another's items, each time that it is read."""

    def __init__(self, function: Callable[..., T], items: Sequence) -> None:
        self._function = function
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        """Return an item, or the view of a slice."""
        return Mapped(self._function, self._items[index]) if isinstance(index, slice) else self._function(self._items[index])

    def __iter__(self) -> Iterator[T]:
        """Map the items in order."""
        return map(self._function, self._items)


def kept(items: Iterable[T], *, measure: Callable[[T], int] | None = None) -> Sequence[T]:
    """Return items as a list, or as one on disk if there are more than LARGE_ROWS."""
    source, begun = iter(items), []
    for item in source:
        begun.append(item)
        if len(begun) > LARGE_ROWS:
            return DiskList(_chained(begun, source), measure=measure)
    return begun


def chosen(items: Sequence[T], indices: Sequence[int]) -> Sequence[T]:
    """Return the items at some indices; of a list on disk, a view."""
    return [items[index] for index in indices] if isinstance(items, list) else Chosen(items, indices)


def _chained(begun: list[T], rest: Iterator[T]) -> Iterator[T]:
    """Yield the items that were read and the rest, and let go of the first."""
    begun.reverse()
    while begun:
        yield begun.pop()
    yield from rest
