"""Today's behaviour equals the golden files. A change that is meant to change them makes them again: `python -m tests.golden.make`, and says why."""

import json
import shutil

import pytest

from tests.golden import make

CURVES = json.loads((make.HERE / "curves.json").read_text(encoding="utf-8"))
QUICK = ("bert-loretta_adp-adam", "bert-lora-zo_sgd", "bert-ft-zo_sgd", "llama-qa-lora-adam")
"""Every kind of step once; the other cells take too long for `make check`."""


def test_every_golden_curve_is_of_a_cell_that_is_still_trained():
    assert CURVES.keys() == make.CURVES.keys()


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.integration) for name in make.CURVES])
def test_curves(name):
    now, golden = make.curve(name), CURVES[name]
    assert now["cell_id"] == golden["cell_id"]
    assert now.keys() == golden.keys()
    for key in golden.keys() - {"cell_id", "digests", "final"}:
        assert [step for step, _ in now[key]] == [step for step, _ in golden[key]], key
        assert [value for _, value in now[key]] == pytest.approx([value for _, value in golden[key]], rel=1e-3, abs=1e-5), key
    assert [now["final"][key] for key in _COUNTS] == [golden["final"][key] for key in _COUNTS]
    assert now["final"] == pytest.approx(golden["final"], rel=1e-3)


_COUNTS = ("trainable_params", "total_params", "forwards")


def test_ids():
    assert json.loads(make.ids()["ids.json"]) == json.loads((make.HERE / "ids.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("group", make.GROUPS)
def test_output(group):
    golden = {path.name: path.read_text(encoding="utf-8") for path in (make.HERE / "output" / group).iterdir()}
    now = make.GROUPS[group]()
    assert sorted(now) == sorted(golden)
    for name, text in now.items():
        assert text.splitlines() == golden[name].splitlines(), name  # lists, so that pytest shows the lines that differ
        assert text == golden[name], name


@pytest.fixture(params=[1, 2])
def kept_record(request, tmp_path):
    """The kept record of a format, in an output directory."""
    kept = make.HERE / f"record_format_{request.param}"
    cell_id = json.loads((kept / "record.json").read_text(encoding="utf-8"))["cell_id"]
    shutil.copytree(kept, tmp_path / "cells" / cell_id)
    return request.param, tmp_path, cell_id


def test_a_record_of_every_format_is_read(kept_record):
    number, out, cell_id = kept_record
    raw = json.loads((out / "cells" / cell_id / "record.json").read_text(encoding="utf-8"))
    assert raw["format"] == number
    assert make.seen(out / "cells" / cell_id) == {"cell_id": cell_id, "status": "finished", **_EXPECTED}
    assert len(make.seen_predictions(out, cell_id)) == 32


# Both are cells of `schema_version` 2: the same settings have another id today.
_EXPECTED = {"method": "loretta_adp", "score": 0.875, "trainable_params": 12416, "best_step": 8}
