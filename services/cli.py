"""The command `loretta`: parse the command line, call one function of `services.commands`, print an expected error as one message on stderr.

Exit codes: 0 done, 1 a cell failed or something broke while running, 2 the request is wrong (nothing was changed), 3 what cells are computed with is gone
(infrastructure), 130 interrupted by Ctrl-C, 143 by SIGTERM.
Every import that costs time happens inside the command that needs it, so that `--help` and a dry run answer at once. Docstrings of commands are their help.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg
from tyro.extras import SubcommandApp

from loretta_core.errors import LorettaError

EXIT_CODES = """Exit codes: 0 done; 1 a cell failed; 2 the request is wrong, nothing was changed; 3 infrastructure: what cells are computed with is gone, such
as Ray; 130 interrupted. What is finished is kept, and the same command goes on."""

app = SubcommandApp()

Overrides = Annotated[UseAppendAction[tuple[str, ...]], arg(name="set", metavar="KEY=VALUE", help_behavior_hint="")]
Cells = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="CELL", help_behavior_hint="")]
Directory = Annotated[Path, arg(metavar="DIR")]
Most = Annotated[int | None, arg(metavar="N", help_behavior_hint="")]
Uri = Annotated[str, arg(metavar="URI", help_behavior_hint="")]
OwnDirectory = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")]
Form = Annotated[Literal["lora"] | None, arg(name="as", help_behavior_hint="")]
Model = Annotated[str, arg(metavar="NAME[@alias]", help_behavior_hint="")]
Sweeps = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME", help_behavior_hint="")]
Flag = Annotated[FlagCreatePairsOff[bool], arg(help_behavior_hint="")]


@app.command
def sweep(
    file: Positional[Path],
    *,
    overrides: Overrides = (),
    out: OwnDirectory = None,
    rerun: Cells = (),
    max_concurrent: Most = None,
    tracking_uri: Uri = "",
    dry_run: Flag = False,
    json: Flag = False,
) -> int:
    """Run the cells of a sweep file that are not finished yet, then print the comparison.

    Exit codes: 0 all cells finished, 1 a cell failed, 2 the request is wrong and nothing was started, 3 infrastructure (Ray is gone), 130 interrupted.
    What is finished is kept, and the same command goes on.

    Args:
        file: The sweep, a TOML file; examples are in jobs/sweeps.
        overrides: Override any part of the file, e.g. --set trainer.lr=1e-3, --set tune.trials=4 or --set 'exclude=[{method = "ft"}]'. May be repeated.
        out: Output directory; by default the sweep's own, else outputs.
        rerun: Compute a finished cell again; give its id or the first digits. May be repeated. What it left is moved to OUT/replaced.
        max_concurrent: Most cells at the same time; by default the file's max_concurrent, else as many as the machine or the cluster holds.
        tracking_uri: Where MLflow keeps the runs; by default MLFLOW_TRACKING_URI, else OUT/mlflow.db.
        dry_run: Show the cells and which of them are finished; start nothing.
        json: With --dry-run: print JSON.
    """
    from services.commands.sweep import RunOptions, run_sweep_file

    options = RunOptions(rerun=rerun, max_concurrent=max_concurrent, tracking_uri=tracking_uri)
    return run_sweep_file(file, overrides=overrides, out=out, options=options, dry_run=dry_run, as_json=json)


@app.command
def run(*, overrides: Overrides = (), out: OwnDirectory = None, rerun: Cells = (), tracking_uri: Uri = "") -> int:
    """Run one cell without a sweep file.

    Args:
        overrides: A setting of the cell, e.g. --set method=lora --set method.r=4, or of a sweep file. Give at least model, task, method and trainer.
        out: Output directory; by default outputs.
        rerun: Compute it again although it is finished; give its id or the first digits. What it left is moved to OUT/replaced.
        tracking_uri: Where MLflow keeps the run; by default MLFLOW_TRACKING_URI, else OUT/mlflow.db.
    """
    from services.commands.sweep import RunOptions, run_one_cell

    return run_one_cell(overrides, out=out, options=RunOptions(rerun=rerun, tracking_uri=tracking_uri))


@app.command
def plan(
    file: Positional[Path],
    *,
    device: UseAppendAction[tuple[str, ...]] = (),
    overrides: Overrides = (),
    out: OwnDirectory = None,
    json: Flag = False,
) -> int:
    """Predict memory, time and cost of every cell of a sweep on given devices; start nothing.

    The totals are those of the cells that are not finished yet.

    Args:
        file: The sweep, a TOML file.
        device: A device such as a100-40gb, h100-80gb:4 for four of them, or cpu for this machine. May be repeated.
        overrides: Override any setting of the file. May be repeated.
        out: Output directory, where finished cells are looked for; by default the sweep's own, else outputs.
        json: Print a list of rows as JSON.
    """
    from loretta_core.config import load_sweep
    from services.commands.plan import show_plan

    sweep = load_sweep(file, overrides=overrides)
    print(show_plan(sweep, out=out or Path(sweep.output), devices=device, as_json=json))
    return 0


@app.command
def compare(
    name: Positional[str] = "",
    *,
    out: Directory = Path("outputs"),
    table: Literal["text", "markdown", "latex"] = "text",
    cells: Flag = False,
    json: Flag = False,
) -> int:
    """Print the verdict of a sweep and the table of its contenders, and write its report again.

    Args:
        name: Name of the sweep; by default the one that was started last.
        out: Output directory.
        table: markdown and latex (for booktabs) print verdict and table alone and write nothing.
        cells: A line of the table per cell, not per contender.
        json: Print verdicts, contenders and every cell with unrounded numbers as JSON.
    """
    from services.commands.compare import show_comparison

    show_comparison(out, name=name, as_json=json, table_format=table, cells=cells)
    return 0


@app.command
def replay(cell: Positional[str], *, step: int | None = None, out: Directory = Path("outputs"), to: OwnDirectory = None, json: Flag = False) -> int:
    """Rebuild the weights of a zeroth-order cell at any of its steps from its replay log, and save them.

    Args:
        cell: Id of the cell, or its first digits.
        step: Which step; 0 is before training. By default the one whose weights were kept, which are then checked against the record.
        out: Output directory of the cell.
        to: Where to save; by default OUT/cells/CELL/replayed/step-N.
        json: Print what was restored as JSON.
    """
    from services.commands.cells import replay_cell

    return replay_cell(cell, step=step, out=out, to=to, as_json=json)


@app.command
def export(
    cell: Positional[str],
    directory: Positional[OwnDirectory] = None,
    *,
    merge: Flag = False,
    form: Form = None,
    register: Model = "",
    tracking_uri: Uri = "",
    out: Directory = Path("outputs"),
    json: Flag = False,
) -> int:
    """Write a finished cell as a PEFT adapter in safetensors, with a model card; somebody else can load it without our output directory. Or register it in
    MLflow, from where `mlflow.pyfunc.load_model("models:/NAME@alias")` loads it.

    Args:
        cell: Id of the cell, or its first digits.
        directory: Where to write; must not exist. May be left out with --register.
        merge: Also write the model with the adapter folded in, which needs neither PEFT nor this project.
        form: Write a loretta_rep cell as a plain LoRA adapter, exact to rounding, for PEFT and for servers of LoRA adapters without this project.
        register: NAME or NAME@alias: make a version of this registered model in MLflow of the cell as it was trained, and give it the alias.
        tracking_uri: MLflow with the registry; by default MLFLOW_TRACKING_URI, else OUT/mlflow.db.
        out: Output directory of the cell.
        json: Print what was written as JSON.
    """
    from services.commands.cells import ExportOptions, export_cell

    options = ExportOptions(merge=merge, form=form, register=register, tracking_uri=tracking_uri)
    return export_cell(cell, directory, options=options, out=out, as_json=json)


@app.command
def sync(out: Positional[Directory] = Path("outputs"), *, sweep: Sweeps = (), tracking_uri: Uri = "") -> int:
    """Send to MLflow, and to the other sinks of sweeps, what they lack of finished cells: after a server was away, or to move to another one. Computes nothing.

    Exit codes: 0 all is there, 2 the request is wrong, 3 a store does not take it; what is there stays, and the same command goes on.

    Args:
        out: Output directory.
        sweep: Only this sweep; may be repeated. By default all of them.
        tracking_uri: Where MLflow keeps the runs; by default MLFLOW_TRACKING_URI, else OUT/mlflow.db.
    """
    from services.commands.cells import sync_sweeps

    return sync_sweeps(out, sweeps=sweep, tracking_uri=tracking_uri)


@app.command
def evaluate(
    cell: Positional[str],
    *,
    tasks: str,
    include_path: OwnDirectory = None,
    limit: Most = None,
    shots: Most = None,
    out: Directory = Path("outputs"),
    json: Flag = False,
) -> int:
    """Score a finished cell of a decoder with EleutherAI's lm-evaluation-harness, and keep the scores in its record. Downloads nothing.
    Needs the extra `evaluate`.

    Args:
        cell: Id of the cell, or its first digits.
        tasks: Names of the harness's tasks, separated by commas.
        include_path: Directory with the YAML files of further tasks.
        limit: Most rows of each task.
        shots: Solved rows before each question; by default what the task says.
        out: Output directory of the cell.
        json: Print the scores as JSON.
    """
    from services.commands.cells import evaluate_cell

    return evaluate_cell(cell, tasks=tasks, include=include_path, limit=limit, shots=shots, out=out, as_json=json)


@app.command(name="list")
def list_(what: Positional[Literal["methods", "models", "tasks", "trainers", "engines"]], *, json: Flag = False) -> int:
    """Show what a sweep can name, with every setting, its default and its meaning.

    Args:
        what: Which family.
        json: Print JSON.
    """
    from services.commands.list import listing

    print(listing(what, as_json=json))
    return 0


@app.command
def doctor(*, out: Directory = Path("outputs"), fix: Flag = False, migrate: OwnDirectory = None, json: Flag = False) -> int:
    """Look for what a sweep would stumble over or left behind: versions, GPUs, disk, Ray, MLflow, locks, half-written and damaged files.
    Records, predictions and adapters are verified by their sha256. Exit code 1 if there is something.

    Args:
        out: Output directory to look at.
        fix: Free leaked placement groups, remove locks, files and Ray sessions of killed processes, end MLflow runs that nobody computes.
        migrate: Say instead what of an output directory of an earlier version can be kept: its records by schema. Changes nothing.
        json: Print JSON.
    """
    from services.commands.doctor import diagnose, show_migration

    if migrate is not None:
        return show_migration(migrate, as_json=json)
    return diagnose(out, fix=fix, as_json=json)


@app.command
def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    mlflow_port: int = 5000,
    out: Directory = Path("outputs"),
    ray: str = "",
    store: str = "",
    artifacts: str = "",
) -> int:
    """Serve an output directory until Ctrl-C: pages and API for sweeps, and the MLflow UI beside them.

    Args:
        host: Address to listen on. Only this machine can reach the default; another one needs a token (`loretta token`) and MLflow's authentication.
        port: Port of the pages and the API; 0 takes a free one.
        mlflow_port: Port of MLflow; 0 takes a free one.
        out: Output directory.
        ray: Address of a Ray dashboard to submit sweeps to, e.g. http://127.0.0.1:8265; by default RAY_API_SERVER_ADDRESS.
        store: MLflow's database, postgresql://USER@HOST/DATABASE; by default SQLite in the output directory. With a password: in LORETTA_STORE.
        artifacts: MLflow's artifact store, e.g. s3://BUCKET/PATH; by default a directory in the output directory.
    """
    from services.commands.serve import serve_output_directory

    return serve_output_directory(host=host, port=port, mlflow_port=mlflow_port, out=out, ray=ray, store=store, artifacts=artifacts)


@app.command
def submit(file: Positional[Path], *, overrides: Overrides = (), json: Flag = False) -> int:
    """Start a sweep on the Ray cluster of a server, or find it running: the same sweep has the same job.

    Args:
        file: The sweep, a TOML file. It is sent to the server of LORETTA_SERVER (by default http://127.0.0.1:8000).
        overrides: Override any setting of the file. May be repeated.
        json: Print the job as JSON.
    """
    from services.commands.jobs import submit_sweep

    submit_sweep(file, overrides=overrides, as_json=json)
    return 0


@app.command
def status(job: Positional[str] = "", *, limit: int = 20, json: Flag = False) -> int:
    """Show a job and how far its sweep is, or the newest jobs of a server.

    Args:
        job: Id of a job; without one, the newest are listed.
        limit: Most jobs of the list.
        json: Print JSON.
    """
    from services.commands.jobs import print_job, print_jobs

    if job:
        print_job(job, as_json=json)
    else:
        print_jobs(limit=limit, as_json=json)
    return 0


@app.command
def logs(job: Positional[str], *, follow: Flag = False, json: Flag = False) -> int:
    """Print what a job printed.

    Args:
        job: Id of the job.
        follow: Go on until the job is over. Ctrl-C ends the following, not the job.
        json: Print an object for each piece of it as it arrives, one a line.
    """
    from services.commands.jobs import print_logs

    print_logs(job, follow=follow, as_json=json)
    return 0


@app.command
def stop(job: Positional[str], *, json: Flag = False) -> int:
    """Stop a job. Its finished cells are kept, and submitting the sweep again goes on.

    Args:
        job: Id of the job.
        json: Print the job as JSON.
    """
    from services.commands.jobs import stop_job

    stop_job(job, as_json=json)
    return 0


@app.command
def token(
    name: Positional[str],
    *,
    role: Literal["read", "submit", "admin"] = "read",
    remove: Flag = False,
    out: Directory = Path("outputs"),
    json: Flag = False,
) -> int:
    """Make a token for the API and the pages, and print it: it is shown once, only its digest is kept. From the first one on, nobody gets in without.

    Args:
        name: Of a person or a program; one token each, a new one replaces the old.
        role: read: look. submit: also start sweeps and stop one's own. admin: also stop anybody's.
        remove: Make the token of this name worthless instead.
        out: Output directory that the server serves.
        json: Print name, role and token as JSON.
    """
    from services.commands.token import make_token, revoke_token

    if remove:
        revoke_token(name, out=out, as_json=json)
    else:
        make_token(name, role=role, out=out, as_json=json)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the console script and return its exit code."""
    try:
        return app.cli(prog="loretta", description=f"Which fine-tuning method for your model, task and GPUs?\n\n{EXIT_CODES}", args=arguments)
    except LorettaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `loretta list methods | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
