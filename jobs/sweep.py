"""`python -m jobs.sweep FILE`: run what is missing of a sweep, then compare.

    load ─► ledger: what is finished? ─► inputs there? ─► lock OUT ─► MLflow once ─► Ray ─► Tune trials in front of warm groups ─► comparison

Exit codes: 0 all cells finished, 1 a cell failed, 2 the request is wrong, 130 interrupted (finished cells are kept; the same command goes on).
Nothing here imports Ray, MLflow or torch before there is a cell to run.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from jobs.console.reporter import SweepReporter
from jobs.execution.worker_config import RUN_CELL
from jobs.orchestration.preflight import check_inputs
from jobs.orchestration.signals import Interrupts
from jobs.orchestration.sweep_run import PriorResults, Request, catch_up, run_cells
from jobs.scheduling.asha_actor import asha_history
from jobs.scheduling.optuna_search import OptunaSearch, check_search
from jobs.storage.ledger import SweepStatus, read_status, refresh_status
from jobs.storage.lock import output_lock
from jobs.storage.mirror import open_mirror
from jobs.storage.rerun import archive_cells, resolve_cell_ids
from jobs.tracking.mlflow_repair import unsynced_cells
from loretta_core.config import SweepConfig, load_sweep
from loretta_core.errors import LorettaError
from loretta_core.report.compare import write_comparison
from loretta_core.report.units import counted
from loretta_core.store.early_stops import clear_early_stop, read_early_stops
from loretta_core.store.manifest import write_manifest
from loretta_core.store.records import check_output_dir
from loretta_core.store.search_state import restore_search


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    command = f"python -m jobs.sweep {shlex.join(resume_arguments(sys.argv[1:] if arguments is None else arguments))}"
    try:
        config = load_sweep(options.file, overrides=options.set)
        return sweep(config, out=options.out, max_concurrent=options.max_concurrent, tracking_uri=options.tracking_uri, rerun=options.rerun, command=command)
    except LorettaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def resume_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments without `--rerun`: what was computed again stays."""
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
    MLflow or the Ray of RAY_ADDRESS does not answer.
    """
    out = out or Path(config.output)
    config = restore_search(config, out)
    check_search(config)
    again = resolve_cell_ids(config.cells, rerun)
    known = read_status(out, config.cells)
    check_inputs([*(cell for cell in config.cells if cell.cell_id not in known.finished), *again])
    check_output_dir(out)
    with output_lock(out), open_mirror(config.mirror, out=out, say=print) as mirror:
        archive_cells(out, again)
        if mirror is not None:
            mirror.invalidate(cell.cell_id for cell in again)
            fetched = mirror.fetch(cell for cell in config.cells if cell.cell_id not in known.finished and cell not in again)
            print(f"mirror {config.mirror}: {counted(fetched, 'finished cell')} fetched", flush=True)
        for cell in again:
            known.finished.pop(cell.cell_id, None)
        anew = {cell.cell_id for cell in (again if config.early_stopping else config.cells)}
        for cell_id in anew & read_early_stops(out, name=config.name).keys():
            clear_early_stop(out, name=config.name, cell_id=cell_id)
        write_manifest(out, sweep=config)
        searching = OptunaSearch(config, out=out, mirror=mirror)
        before, stopped = refresh_status(out, config.cells, known=known), read_early_stops(out, name=config.name)
        over = before.finished.keys() | stopped.keys()
        progress = SweepReporter(config.cells, over=len(over))
        missing = [cell for cell in config.cells if cell.cell_id not in over]
        _say_what_is_ahead(config, before, progress, out=out, stopped=len(stopped.keys() - before.finished.keys()))
        if mirror is not None:
            mirror.send_missing(before.finished)
        late = unsynced_cells(out, [cell for cell in config.cells if cell.cell_id in before.finished])
        request = Request(
            out,
            config.name,
            max_concurrent=max_concurrent or config.max_concurrent,
            tracking_uri=tracking_uri,
            run_cell=run_cell,
            executor=config.executor,
            pack=config.pack,
            budget=config.budget,
            early_stopping=config.early_stopping,
            grow=searching.grow,
            width=searching.width,
            copy=mirror.send if mirror is not None else None,
        )
        remark = ""
        missing = missing or searching.grow()
        if missing:
            judged = asha_history(config.cells, finished=before.finished, stopped=stopped) if config.early_stopping else []
            with Interrupts(progress.say) as interrupts:
                remark = run_cells(missing, before=PriorResults(late, judged), request=request, progress=progress, interrupts=interrupts)
            if interrupts.requested.is_set():
                config = searching.config
                kept = len(read_status(out, config.cells).finished)
                progress.say(f"stopped: {kept} of {counted(len(config.cells), 'cell')} are finished and kept; go on with:\n  {command}")
                return interrupts.exit_code
        elif late and (problem := catch_up(late, request=request)):
            progress.say(problem)
        config = searching.config
        _compare(out, config)
        if remark:
            progress.say(remark)
        over = refresh_status(out, config.cells, known=before).finished.keys() | read_early_stops(out, name=config.name).keys()
    return 0 if len(over) == len(config.cells) or (remark and not progress.failed) else 1


def _say_what_is_ahead(config: SweepConfig, before: SweepStatus, progress: SweepReporter, *, out: Path, stopped: int) -> None:
    total, finished = len(config.cells), len(before.finished)
    left = total - finished - stopped
    early = f", {stopped} stopped early" if stopped else ""
    progress.say(f"sweep {config.name}: {finished} of {counted(total, 'cell')} finished{early}, {f'{left} to run' if left else 'nothing to run'} → {out}")
    if config.rounds is not None and not config.rounds.complete:
        progress.say(
            f"search: Optuna draws the later of {counted(config.rounds.search.samples, 'sample')} per point of the grid from the scores of the earlier"
        )
    for label in config.duplicates:
        progress.say(f"comes up again and runs once: {label}")
    for description, reason in config.skipped:
        progress.say(f"skipped: {description}: {reason}")
    for reason in before.damaged.values():
        progress.say(f"runs again: {reason}")
    if before.failed:
        progress.say(f"{counted(len(before.failed), 'cell')} that failed last time will be tried again")


def _compare(out: Path, config: SweepConfig) -> None:
    print(write_comparison(out, name=config.name).text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jobs.sweep", description="Run what is missing of a sweep, then compare its cells.")
    parser.add_argument("file", type=Path, help="the sweep, a TOML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting, e.g. --set trainer.lr=1e-3; may be repeated")
    parser.add_argument("--out", type=Path, help="output directory (default: the sweep's, else ./outputs)")
    parser.add_argument("--rerun", action="append", default=[], metavar="CELL", help="compute a finished cell again (id or first digits); may be repeated")
    parser.add_argument("--max-concurrent", type=int, metavar="N", help="most cells at the same time (default: as many as the cluster holds)")
    parser.add_argument("--tracking-uri", default="", metavar="URI", help="MLflow (default: MLFLOW_TRACKING_URI, else OUT/mlflow.db)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
