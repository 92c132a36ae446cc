"""`python -m jobs.sweep FILE`: run what is missing of a sweep, then compare.

    load ─► ledger: what is finished? ─► inputs there? ─► lock OUT ─► MLflow once ─► Ray ─► Tune trials in front of warm groups ─► comparison

Exit codes: 0 all cells finished, 1 a cell failed, 2 the request is wrong, 3 what cells are computed with is gone (infrastructure), 130 interrupted by Ctrl-C,
143 by SIGTERM. Finished cells are kept; the same command goes on.
Nothing here imports Ray, MLflow or torch before there is a cell to run.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from jobs.execution.worker_config import RUN_CELL
from jobs.orchestration.sweep_run import SweepOptions, SweepRun
from jobs.storage.lock import output_lock
from jobs.storage.mirror import open_mirror
from loretta_core.config import SweepConfig, load_sweep
from loretta_core.errors import LorettaError

EXIT_CODES = "Exit codes: 0 all cells finished, 1 a cell failed, 2 the request is wrong, 3 infrastructure (Ray is gone), 130 interrupted."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    command = f"python -m jobs.sweep {shlex.join(resume_arguments(sys.argv[1:] if arguments is None else arguments))}"
    try:
        config = load_sweep(options.file, overrides=options.set)
        return sweep(config, out=options.out, max_concurrent=options.max_concurrent, tracking_uri=options.tracking_uri, rerun=options.rerun, command=command)
    except LorettaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def resume_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that resume a sweep: all but `--rerun`, since a cell that was computed again stays finished."""
    kept: list[str] = []
    before = ""
    for argument in arguments:
        if before != "--rerun" and argument != "--rerun" and not argument.startswith("--rerun="):
            kept.append(argument)
        before = argument
    return kept


def sweep(
    config: SweepConfig,
    *,
    out: Path | None = None,
    max_concurrent: int | None = None,
    tracking_uri: str = "",
    rerun: Sequence[str] = (),
    command: str = "the same command",
    run_cell: str = RUN_CELL,
) -> int:
    """Run what is missing, print the comparison, return the exit code.

    Args:
        out: output directory; None takes the sweep's.
        rerun: ids, or first digits, of cells to compute again although they are finished; what they left is moved to OUT/replaced.
        command: what to type to go on after an interruption.
        run_cell: module:function that computes a cell.

    Raises ConfigError when nothing can be started: a model or a data file cannot be used, the output directory is in use or not ours,
    MLflow or the Ray of RAY_ADDRESS does not answer. Raises InfrastructureError when Ray dies on the way.
    """
    out = out or Path(config.output)
    options = SweepOptions(out=out, max_concurrent=max_concurrent, tracking_uri=tracking_uri, rerun=rerun, command=command, run_cell=run_cell)
    run = SweepRun(config, options)
    run.plan()
    with output_lock(out), open_mirror(config.mirror, out=out, say=print) as mirror:
        run.prepare(mirror)
        run.execute()
        return run.finish()


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    options = argparse.ArgumentParser(prog="python -m jobs.sweep", description="Run what is missing of a sweep, then compare its cells.", epilog=EXIT_CODES)
    options.add_argument("file", type=Path, help="the sweep, a TOML file")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting, e.g. --set trainer.lr=1e-3; may be repeated")
    options.add_argument("--out", type=Path, help="output directory (default: the sweep's, else ./outputs)")
    options.add_argument("--rerun", action="append", default=[], metavar="CELL", help="compute a finished cell again (id or first digits); may be repeated")
    options.add_argument("--max-concurrent", type=int, metavar="N", help="most cells at the same time (default: as many as the cluster holds)")
    options.add_argument("--tracking-uri", default="", metavar="URI", help="MLflow (default: MLFLOW_TRACKING_URI, else OUT/mlflow.db)")
    return options


if __name__ == "__main__":
    sys.exit(main())
