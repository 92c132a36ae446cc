"""Records as values: groups without numbers, no changes, no misspelt fields."""

import pytest
from pydantic import ValidationError

from loretta_core.store.records import Failure, Record


def test_a_failed_record_needs_no_numbers():
    record = Record(cell_id="x", cell={}, status="failed", error=Failure(kind="nan", message="m"))
    assert (record.score.value, record.cost.train_s, record.pack, record.zeroth_order, record.digests.weights) == (None, None, None, None, None)


def test_a_record_does_not_change():
    record = Record(cell_id="x", cell={}, status="finished")
    with pytest.raises(ValidationError, match="frozen"):
        record.score.value = 1.0


@pytest.mark.parametrize("group", ["score", "cost", "pack", "zeroth_order", "digests"])
def test_a_misspelt_field_is_refused(group):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Record.model_validate({"cell_id": "x", "cell": {}, "status": "finished", group: {"speling": 1}})
