"""What cells read is checked before anything starts, and each thing once. (All refusals through the commands: tests/services/test_cli.py.)"""

import pytest

from jobs.orchestration import preflight
from jobs.orchestration.preflight import check_inputs
from loretta_core.errors import ConfigError


def test_the_bundled_model_and_task_must_not_raise(cell):
    check_inputs([cell()])


def test_every_model_is_looked_at_once(cell, monkeypatch):
    seen = []
    monkeypatch.setattr(preflight, "locate", seen.append)
    check_inputs([cell("seed=0"), cell("seed=1"), cell("method=loretta_adp")])
    assert seen == [cell().model]


def test_a_model_directory_without_weights_is_refused(cell, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigError, match="the directory has no weights"):
        check_inputs([cell(), cell(f"model={tmp_path}")])
