"""What is tried again, and how."""

import pytest

from jobs.failures.retry import MOST_LOSSES, again, in_smaller_pieces
from loretta_core.config import CellConfig


def test_a_lost_process_is_tried_again_as_it_was(cell):
    text = cell().to_json()
    assert [again(text, kind="infrastructure", failures=times) for times in (1, MOST_LOSSES)] == [text, None]


def test_a_machine_that_was_taken_away_is_not_the_cells_fault(cell):
    text = cell().to_json()
    assert again(text, kind="preempted", failures=100) == text


@pytest.mark.parametrize("kind", ["nan", "config", "error", ""])
def test_what_would_come_again_is_not(kind, cell):
    assert again(cell().to_json(), kind=kind, failures=1) is None


def test_smaller_pieces_are_the_same_cell(cell):
    smaller = CellConfig.from_json(in_smaller_pieces(cell("batch_size=16").to_json()) or "")
    assert smaller.cell_id == cell("batch_size=16").cell_id
    assert smaller.engine.gradient_accumulation == 2


@pytest.mark.parametrize(
    "settings",
    [
        ("batch_size=1",),
        ("batch_size=6", "engine.gradient_accumulation=2"),
        ("batch_size=8", "engine=ddp", "engine.workers=2", "engine.gradient_accumulation=4"),
    ],
)
def test_a_piece_that_cannot_be_halved(settings, cell):
    assert in_smaller_pieces(cell(*settings).to_json()) is None
