"""`--rerun`: ids that name cells, and what an archived cell leaves."""

import pytest

from jobs.storage.ledger import unfinished
from jobs.storage.rerun import archive_cells, resolve_cell_ids
from loretta_core.errors import ConfigError
from loretta_core.store.layout import cell_directory
from loretta_core.store.record_files import read_record, write_record
from tests.jobs.synthetic import finished_record


def test_an_archived_cell_is_unfinished_and_nothing_of_it_is_lost(cell, out):
    cells = [cell("seed=1"), cell("seed=2")]
    for each in cells:
        write_record(finished_record(each), cell_directory(out, each.cell_id))
    archive_cells(out, resolve_cell_ids(cells, [cells[0].cell_id[:8]]))
    assert unfinished(out, cells) == [cells[0]]
    (kept,) = (out / "replaced").iterdir()
    assert read_record(kept).cell_id == cells[0].cell_id
    archive_cells(out, [cells[0]])  # nothing there any more
    assert len(list((out / "replaced").iterdir())) == 1


@pytest.mark.parametrize(("text", "count"), [("", "no cell"), ("xyz", "no cell")])
def test_an_id_of_no_cell(text, count, cell):
    with pytest.raises(ConfigError, match=f"--rerun {text}: {count} of this sweep"):
        resolve_cell_ids([cell()], [text])
