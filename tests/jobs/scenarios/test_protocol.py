"""A whole protocol on Ray: trials, winners, a race of replicates; killed when the first replicates run, and resumed by the same command."""

import pytest

from jobs.storage.ledger import unfinished
from loretta_core.config import load_sweep
from loretta_core.errors import OutputError
from loretta_core.store.manifest import Manifest, read_manifest
from loretta_core.store.protocol_state import restore_protocol
from tests.jobs.head import stop_all
from tests.jobs.synthetic import FUNCTION
from tests.jobs.test_sweep import Place, run, shared, start, wait_until
from tests.which import SWEEP


def noted(here: Place) -> Manifest | None:
    try:
        return read_manifest(here.out, name="which")
    except OutputError:
        return None


@pytest.mark.slow  # a protocol that nobody kills: test_job_submit.py
@pytest.mark.ray
def test_a_protocol_that_is_killed_goes_on_with_the_same_winners(tmp_path, head):
    here = Place(tmp_path / "which.toml", tmp_path / "out")
    here.file.write_text(SWEEP.replace("seeds = 3", "seeds = { race = [3, 5] }"))
    environment = {**shared(head), FUNCTION: "run_tuned_cell"}
    process = start(here.command, environment)
    try:
        wait_until(lambda: (manifest := noted(here)) is not None and all(contender.winner for contender in manifest.contenders), process)
    finally:
        stop_all(process.pid)
        process.communicate()
    before = read_manifest(here.out, name="which")
    ran = run(here.command, environment)
    assert ran.code == 0, ran.output + ran.errors
    after = read_manifest(here.out, name="which")
    assert [contender.winner for contender in after.contenders] == [contender.winner for contender in before.contenders]
    assert [len(contender.replicates) for contender in after.contenders] == [5, 5, 3]
    assert (after.race.trained, after.race.full) == (13, 15)
    config = restore_protocol(load_sweep(here.file), here.out)
    assert unfinished(here.out, config.cells) == []
    assert len(config.cells) == 9 + 13
