"""`python -m jobs.sync OUT [SWEEP…]`: send to the tracking stores what they lack of finished cells and of what sweeps found. Computes nothing.

The store is the one of --tracking-uri or MLFLOW_TRACKING_URI, else OUT/mlflow.db: a finished sweep moves to another server by naming it. Further sinks are
those that the sweep files name.

Exit codes: 0 all is there, 2 the request is wrong, 3 a store does not take it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jobs.storage.ledger import read_status
from jobs.storage.lock import output_lock
from jobs.tracking.shipper import Shipper
from jobs.tracking.sinks import open_sinks
from loretta_core.errors import InfrastructureError, LorettaError, OutputError
from loretta_core.report.compare import write_comparison
from loretta_core.report.units import counted
from loretta_core.store.manifest import read_manifest, sweep_names


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        for line in sync(options.out, sweeps=options.sweep, tracking_uri=options.tracking_uri):
            print(line)
    except LorettaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def sync(out: Path, *, sweeps: Sequence[str] = (), tracking_uri: str = "") -> list[str]:
    """Send what is missing of these sweeps, or of all; return a line for each.

    Raises OutputError for no output directory of ours, no such sweep, or one that is at work; ConfigError for a store that cannot be used; InfrastructureError
    for one that stops taking what it is sent.
    """
    if not (out / "FORMAT.json").is_file():
        raise OutputError(f"{out}: no output directory of ours (no FORMAT.json); give the one of a sweep")
    with output_lock(out):
        return [_sync_one(out, name, tracking_uri=tracking_uri) for name in sweeps or reversed(sweep_names(out))]


def _sync_one(out: Path, name: str, *, tracking_uri: str) -> str:
    manifest = read_manifest(out, name=name)
    cells = [manifest.resolved[cell_id] for cell_id in manifest.cells]
    finished = read_status(out, cells).finished
    sinks = open_sinks(manifest.sinks, sweep=name, out=out, tracking_uri=tracking_uri, max_upload_mib=manifest.max_upload_mib)
    shipper = Shipper(sinks, out=out)
    shipper.send_missing([cell for cell in cells if cell.cell_id in finished], sweep=name)
    problems = shipper.finish(write_comparison(out, name=name), complete=len(finished) == len(cells))
    if problems:
        raise InfrastructureError("\n".join(problems))
    return f"{name}: {counted(len(finished), 'finished cell')} in {', '.join(f'{sink.name} at {sink.to}' for sink in sinks)}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jobs.sync", description="Send to tracking stores what they lack of finished cells.")
    parser.add_argument("out", type=Path, help="output directory")
    parser.add_argument("--sweep", action="append", default=[], metavar="NAME", help="only this sweep; may be repeated")
    parser.add_argument("--tracking-uri", default="", metavar="URI", help="MLflow (default: MLFLOW_TRACKING_URI, else OUT/mlflow.db)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
