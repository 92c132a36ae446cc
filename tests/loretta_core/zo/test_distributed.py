"""Real processes over gloo: scalars only, replicas bit-identical, the run of one worker."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.integration

WORKER = """
import json, os, signal, sys, torch, torch.distributed as dist
torch.set_num_threads(1)
from torch import nn
from loretta_core.errors import CellFailed
from loretta_core.zo.directions.cone import Cone
from loretta_core.zo.directions.curvature import Curvature
from loretta_core.zo.directions.low_rank import LowRank
from loretta_core.zo.directions.projected import Projected
from loretta_core.zo.directions.sparse import Sparse
from loretta_core.zo.distributed import DataParallel, DirectionParallel, resume_from_log
from loretta_core.zo.optim import ZOSGD, ZerothOrder
from loretta_core.zo.replay_log import LogWriter, read_log, weights_sha256
from pathlib import Path

rank, workers, path = int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
dist.init_process_group("gloo", init_method=f"file://{path}/store", rank=rank, world_size=workers)

KINDS = {
    "low rank": {"directions": LowRank(rank=2, refresh_every=10)},
    "curvature": {"directions": Curvature(smoothing=1e-4)},
    "cone": {"directions": Cone()},
    "sparse": {"directions": Sparse()},
    "muon": {"directions": Projected(rank=3, refresh_every=10), "update": "orthogonal"},
}

def run(*, log, steps, mode="directions", kind="sgd", estimator="two_sided", resume_at=0, disturbed=-1, killed=-1, dropout=""):
    torch.manual_seed(rank if dropout == "other seeds" else 0)
    generator = torch.Generator().manual_seed(0)
    x_BI, y_B = torch.randn(24, 40, generator=generator, dtype=torch.float64), torch.randn(24, generator=generator, dtype=torch.float64)
    weight = nn.Parameter(torch.randn(8, 5, generator=generator))
    options = {"num_directions": 2, "estimator": estimator, "clip": 4.0}
    optimizer = ZerothOrder(torch.optim.AdamW([weight], lr=1e-2), **options) if kind == "adam" else ZOSGD([weight], lr=1e-3, **options, **KINDS.get(kind, {}))
    sizes = [8, 16] if mode == "data" and workers == 2 else [24] * workers
    first = sum(sizes[:rank]) if mode == "data" else 0
    rows = slice(first, first + sizes[rank])
    optimizer.evaluator = DataParallel(weight=lambda: sizes[rank], check_every=10) if mode == "data" else DirectionParallel(check_every=10)

    def loss(step):
        dropped_BI = nn.functional.dropout(x_BI, 0.1) if dropout else x_BI
        value = ((dropped_BI[rows] @ weight.double().view(-1) - y_B[rows]) ** 2).mean()
        return value * float("nan") if step % 100 == 50 else value

    seen, writer = [], LogWriter(path / f"{log}-{rank}", header={}, optimizer=optimizer)
    optimizer.on_step = lambda step, differences: (writer(step, differences), seen.append(differences))
    if resume_at:
        assert resume_from_log(optimizer, read_log(path / f"{log}-{rank}")) == resume_at
    for step in range(optimizer.steps_taken, steps):
        if step == disturbed and rank == 1:
            weight.data[3] += 1e-3
        if step == killed and rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            optimizer.step(lambda: loss(step))
        except CellFailed as error:
            return {"error": str(error)}
        except RuntimeError as error:
            if step != killed:
                raise
            writer.flush()
            return {"alone": optimizer.steps_taken}
    writer.flush()
    sent = optimizer.evaluator.exchange.bytes_sent
    return {"sha": weights_sha256(optimizer.theta), "first": seen[0], "bytes": sent / len(seen), "skipped": optimizer.skipped_steps}

print(json.dumps({name: run(**{"log": name} | job) for name, job in json.loads(sys.argv[1]).items()}), flush=True)
if any("killed" in job for job in json.loads(sys.argv[1]).values()):
    os._exit(0)  # the group is broken; it cannot be taken down in order
dist.destroy_process_group()
"""

SHARED = (
    {"sgd": {"steps": 200}, "adam": {"steps": 60, "kind": "adam"}, "one-sided": {"steps": 60, "estimator": "one_sided"}}
    | {"population": {"steps": 60, "estimator": "population"}}
    | {kind: {"steps": 60, "kind": kind} for kind in ("low rank", "curvature", "cone", "sparse", "muon")}
)
JOBS = SHARED | {
    "data": {"steps": 200, "mode": "data"},
    "whole": {"steps": 90, "kind": "adam"},
    "cut": {"steps": 55, "kind": "adam"},
    "resumed": {"steps": 90, "kind": "adam", "log": "cut", "resume_at": 55},
    "disturbed": {"steps": 30, "disturbed": 7},
    "same masks": {"steps": 12, "dropout": "same seed"},
    "other masks": {"steps": 12, "dropout": "other seeds"},
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Number of workers → what each rank found, per job."""
    return {workers: spawn(workers, JOBS, tmp_path_factory.mktemp("group")) for workers in (1, 2)}


def spawn(workers, jobs, path, *, killed=0):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    commands = [[sys.executable, "-c", WORKER, json.dumps(jobs), str(rank), str(workers), str(path)] for rank in range(workers)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) for command in commands]
    results = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * (workers - killed) + [-signal.SIGKILL] * killed, results[0][1]
    return [json.loads(output.splitlines()[-1]) for output, _ in results[: workers - killed]]


@pytest.mark.parametrize("job", SHARED)
def test_sharing_directions_is_bitwise_the_run_of_one_worker(job, found):
    results = [rank[job] for ranks in found.values() for rank in ranks]
    assert len(results) == 3
    assert len({result["sha"] for result in results}) == 1
    assert all(result["bytes"] <= 16 * 2 + 64 for result in results)
    assert results[0]["skipped"] == (2 if job == "sgd" else 1)


@pytest.mark.slow
def test_one_two_and_four_workers_are_bitwise_the_same_over_a_thousand_steps(tmp_path_factory):
    jobs = {"sgd": {"steps": 1000}, "one-sided": {"steps": 1000, "estimator": "one_sided"}}
    results = [rank for workers in (1, 2, 4) for rank in spawn(workers, jobs, tmp_path_factory.mktemp("group"))]
    assert len(results) == 7
    assert all(len({result[job]["sha"] for result in results}) == 1 for job in jobs)


def test_sharing_the_batch_gives_the_projected_gradient_of_one_worker(found):
    alone, (first, second) = found[1][0]["data"], [rank["data"] for rank in found[2]]
    assert first["first"] == pytest.approx(alone["first"], rel=1e-6)
    assert first["sha"] == second["sha"]
    assert first["bytes"] <= 16 * 2 + 64


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_that_lost_their_state_rejoin_from_the_log(workers, found):
    assert len({rank[job]["sha"] for rank in found[workers] for job in ("whole", "resumed")}) == 1
    assert found[workers][0]["cut"]["sha"] != found[workers][0]["whole"]["sha"]


def test_replicas_that_differ_are_noticed(found):
    assert all("workers hold different parameters" in rank["disturbed"]["error"] for rank in found[2])
    assert "error" not in found[1][0]["disturbed"]


def test_workers_share_dropout_masks_or_say_that_they_do_not(found):
    assert all("other masks" in rank["other masks"]["error"] for rank in found[2])
    assert len({rank["same masks"]["sha"] for ranks in found.values() for rank in ranks}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_worker_killed_in_mid_run_rejoins_by_replay(kind, tmp_path):
    """Rank 1 dies by SIGKILL at step 600 of 1,000 with its last steps unwritten; a new group goes on from the two logs, bitwise."""
    job = {"steps": 1000, "kind": kind}
    (tmp_path / "died").mkdir()
    (tmp_path / "whole").mkdir()
    (survivor,) = spawn(2, {"run": job | {"killed": 600}}, tmp_path / "died", killed=1)
    assert survivor["run"] == {"alone": 600}
    (tmp_path / "died" / "store").unlink()
    rejoined = spawn(2, {"run": job | {"resume_at": 576}}, tmp_path / "died")
    whole = spawn(2, {"run": job}, tmp_path / "whole")
    assert len({rank["run"]["sha"] for rank in [*rejoined, *whole]}) == 1


@pytest.mark.slow
def test_sharing_the_batch_holds_over_a_thousand_steps(tmp_path):
    """Replicas stay bit-identical, and the first projected gradients are those of one worker; later ones drift apart by rounding, as any two machines' do."""
    found = {}
    for workers in (1, 2):
        (tmp_path / str(workers)).mkdir()
        found[workers] = [rank["data"] for rank in spawn(workers, {"data": {"steps": 1000, "mode": "data"}}, tmp_path / str(workers))]
    (alone,), (first, second) = found[1], found[2]
    assert first["sha"] == second["sha"]
    assert first["first"] == pytest.approx(alone["first"], rel=1e-6)
    assert first["skipped"] == alone["skipped"] == 10
