"""`loretta sync`: what it refuses, and how."""

import pytest

from jobs.sync import main
from loretta_core.store.manifest import write_manifest
from tests.jobs.tracking.conftest import TINY


@pytest.fixture
def swept(out):
    from loretta_core.config.sweep.load import resolve_sweep

    write_manifest(out, sweep=resolve_sweep(TINY))
    return out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent"], "absent: no output directory of ours"),
        (["OUT", "--sweep", "other"], "no sweep 'other' in"),
        (["OUT", "--tracking-uri", "SERVER"], "cannot be used"),
    ],
)
def test_what_cannot_be_sent_is_one_line_and_exit_code_2(arguments, said, swept, dead_server, capsys):
    assert main([{"OUT": str(swept), "SERVER": dead_server}.get(word, word) for word in arguments]) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert "Traceback" not in errors
