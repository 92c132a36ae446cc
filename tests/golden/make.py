"""Golden files: what the project says and computes today, so that a change that must change nothing can prove it.

python -m tests.golden.make [--out DIR] [--only NAME]

    curves.json        seeded losses and scores of tiny cells; bit for bit on one machine, to 1e-3 on another
    ids.json           ids of cells: of every shipped sweep, and of cells that differ in one setting
    output/GROUP/*     what commands print, the files of a comparison, the API's document and answers; exact
    record_format_N/   a finished cell as it lies on disk; made once per format (`--only record`) and never again: later readers must take it
To compare two checkouts on one machine bit for bit: run it in both with `--out`, then `diff -r`. The digests in curves.json are for this; the test leaves
them out, since another CPU gives other last digits. Names of modules of ours stand in the first block and nowhere else.
"""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import contextlib
import hashlib
import io
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import torch

# Everything of ours, and the only lines that a refactoring of it should have to touch (with `seen` and `_finished` below).
from loretta_core.config import cell_from_overrides, load_sweep
from loretta_core.store.predictions import Predictions, find_predictions, write_predictions
from loretta_core.store.record_files import read_record
from loretta_core.store.records import Digests, PackInfo
from loretta_core.train.run import run_cell
from services.app import add_request_guard as guarded
from services.app import create_app
from services.cli import main as loretta
from services.server.settings import ApiSettings
from tests.loretta_core.report.synthetic import PARAMETERS, failed_record, make_cell, make_record, write_sweep
from tests.services.cluster import MemoryCluster


def seen(directory: Path) -> dict[str, object]:
    """What a reader of a cell's directory finds, whatever records look like inside."""
    record = read_record(directory)
    found = {"cell_id": record.cell_id, "status": record.status, "score": record.score.value, "method": record.cell["method"]["type"]}
    return {**found, "trainable_params": record.cost.trainable_params, "best_step": record.score.best_step}


def seen_predictions(out: Path, cell_id: str) -> tuple[int | float | str, ...]:
    """Predictions of a cell of an output directory; they must have the digest of its record."""
    return find_predictions(out, {cell_id: read_record(out / "cells" / cell_id)}).predictions[cell_id].predictions


def _finished(cell, *, correct: int, predictions: Predictions | None = None, warnings: tuple[str, ...] = (), packed: bool = False):
    """A made-up record in which no number is measured."""
    times = {"started_at": "2026-01-02T03:04:05+00:00", "finished_at": "2026-01-02T03:05:06+00:00"}
    expected = {"predicted_peak_memory_bytes": 600 * 2**20, "step_s": 0.02, "predicted_step_s": 0.025}
    cost = {"trainable_params": PARAMETERS[cell.method.type], "train_s": 5.0 + correct % 7, "forwards": 600 if cell.trainer.zeroth_order else 300}
    pack = PackInfo(pack_id="0123456789abcdef", cells=2) if packed else None
    digests = Digests(inputs="0" * 64, predictions=predictions.sha256 if predictions else None)
    return make_record(cell, correct=correct, warnings=list(warnings), **times, cost={**expected, **cost}, pack=pack, digests=digests)


# End of what a refactoring may touch.

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
QUICKSTART = "jobs/sweeps/quickstart.toml"
Files = dict[str, str]
"""Name → content."""

_ROWS = ("task.train_rows=64", "task.validation_rows=32", "task.test_rows=32", "batch_size=8", "trainer.steps=8", "trainer.eval_every=4")
# Steps long enough that a wrong update shows in the next loss.
_STEP = {
    "adam": ("trainer.lr=1e-3",),
    "zo_sgd": ("trainer.lr=1e-1", "trainer.zo_eps=1e-2"),
    "zo_adam": ("trainer.lr=3e-2", "trainer.zo_eps=5e-2"),
}
_BERT, _ENTAILMENT, _QA = ("toy-bert", "toy_sentiment"), ("toy-llama", "toy_entailment"), ("toy-llama", "toy_qa")


def _curve(model: str, task: str, method: str, trainer: str, *more: str) -> tuple[str, ...]:
    return (f"model={model}", f"task={task}", f"method={method}", f"trainer={trainer}", *_ROWS, *_STEP[trainer], *more)


CURVES: dict[str, tuple[str, ...]] = {
    **{f"bert-{method}-adam": _curve(*_BERT, method, "adam") for method in ["loretta_adp", "loretta_rep", "lora", "adapters", "bitfit", "ia3", "prompt", "ft"]},
    **{f"bert-{method}-{trainer}": _curve(*_BERT, method, trainer) for method in ("loretta_adp", "lora") for trainer in ("zo_sgd", "zo_adam")},
    "bert-ft-zo_sgd": _curve(*_BERT, "ft", "zo_sgd", "trainer.lr=1e-3", "trainer.zo_eps=1e-3"),
    "llama-entailment-lora-adam": _curve(*_ENTAILMENT, "lora", "adam"),
    "llama-entailment-loretta_adp-zo_sgd": _curve(*_ENTAILMENT, "loretta_adp", "zo_sgd"),
    "llama-qa-lora-adam": _curve(*_QA, "lora", "adam"),
}
_SERIES = ("train_loss", "lr", "validation_loss", "validation_score")
_FINAL = ("score", "score_low", "score_high", "initial_score", "best_validation_score", "trainable_params", "total_params", "forwards")


def curve(name: str) -> dict[str, object]:
    """One tiny cell, trained: its journal without what a clock measured."""
    with tempfile.TemporaryDirectory() as directory:
        cell_id = _train(CURVES[name], Path(directory))
        lines = [json.loads(line) for line in (Path(directory) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        weights = sorted(Path(directory, "adapter").glob("*.safetensors"))
        digests = {path.name: _tensors_sha256(path.read_bytes()) for path in weights}
        digests["predictions.json"] = hashlib.sha256(Path(directory, "predictions.json").read_bytes()).hexdigest()
    series = {key: [[line["step"], line[key]] for line in lines if key in line] for key in _SERIES}
    return {"cell_id": cell_id, **series, "final": {key: lines[-1][key] for key in _FINAL}, "digests": digests}


def _tensors_sha256(content: bytes) -> str:
    """Of a safetensors file without its metadata, which the library writes in an order of its own in every process."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = {name: entry for name, entry in json.loads(content[8:end]).items() if name != "__metadata__"}
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode() + content[end:]).hexdigest()


def _train(settings: tuple[str, ...], directory: Path) -> str:
    cell = cell_from_overrides(settings)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums over several threads have other last digits
    try:
        run_cell(cell, directory=directory)
    finally:
        torch.set_num_threads(threads)
    return cell.cell_id


def curves() -> Files:
    """One line per cell."""
    lines = [f"{json.dumps(name)}: {json.dumps(curve(name))}" for name in CURVES]
    return {"curves.json": "{\n" + ",\n".join(lines) + "\n}\n"}


_BASE = ("model=toy-bert", "task=toy_sentiment", "method=lora", "trainer=adam")
_JSONL = 'task={type="jsonl",train="train.jsonl",validation="validation.jsonl",labels=["no","yes"]}'
ONE_SETTING = (
    "seed=0",
    *(f"method={name}" for name in ["loretta_adp", "loretta_rep", "adapters", "ia3", "prompt", "prefix", "ptune", "bitfit", "ft"]),
    'method={type="peft",peft_type="VERA",r=4,target_modules=["query","value"]}',
    *(f"trainer={name}" for name in ["none", "zo_sgd", "zo_momentum", "zo_adam", "zo_sign", "fzoo", "meazo", "adazeta"]),
    *(f"trainer={name}" for name in ["lozo", "subzero", "zo_sparse", "hizoo", "conmezo", "zo_muon"]),
    "model=toy-llama task=toy_entailment trainer=icl",
    *(f"model=toy-llama task={name}" for name in ["toy_entailment", "toy_qa", "cb", "boolq", "wsc", "wic", "multirc", "copa", "record", "squad", "drop"]),
    *(f"task={name}" for name in ["cola", "sst2", "mrpc", "qqp", "stsb", "mnli", "mnli_mm", "qnli", "rte", "wnli"]),
    "model=toy-llama task=sst2 task.objective=causal",
    "task.objective=head",
    _JSONL,
    *(f"engine={name}" for name in ["ddp", "zero", "auto"]),
    *["engine.gradient_accumulation=2", "precision=bf16", "precision=mixed", "batch_size=8", "seed=1", "model=roberta-base", "model.revision=main"],
    *["method.r=4", "method=loretta_adp method.shape=[8,8,12,8,8]", "task.data_seed=1"],
    *["trainer.lr=1e-3", "trainer.epochs=3", "trainer=zo_sgd trainer.estimator=one_sided"],
)
"""Laid over the base cell, which is the first; an engine is no part of an id."""


def ids() -> Files:
    """Ids of whole sweeps as a digest of all and the first five; ids of single cells in full."""
    sweeps = {path.name: _digest([cell.cell_id for cell in load_sweep(path).cells]) for path in sorted((ROOT / "jobs/sweeps").glob("*.toml"))}
    single = {text: cell_from_overrides([*_BASE, *_words(text)]).cell_id for text in ONE_SETTING}
    return {"ids.json": _json({"sweeps": sweeps, "base": " ".join(_BASE), "with": single})}


def _words(text: str) -> list[str]:
    return [text] if "{" in text else text.split()


def _digest(cell_ids: list[str]) -> dict[str, object]:
    return {"cells": len(cell_ids), "sha256": hashlib.sha256("\n".join(cell_ids).encode()).hexdigest(), "first": cell_ids[:5]}


COMMANDS = ("sweep", "run", "plan", "compare", "replay", "evaluate", "export", "sync", "list", "doctor", "serve", "submit", "status", "logs", "stop", "token")
LISTS = ["methods", "models", "tasks", "trainers", "engines"]
_SIX_DIGITS = {"parse_float": lambda number: float(f"{float(number):.6g}")}  # the last digits of a verdict differ between machines
_CELL = ("--set", "model=toy-bert", "--set", "task=toy_sentiment", "--set", "trainer=adam")
REFUSED: dict[str, tuple[str, ...]] = {
    "run-unknown-method": ("run", *_CELL, "--set", "method=lorra"),
    "run-unknown-key": ("run", *_CELL, "--set", "method=lora", "--set", "trainer.learning_rate=1e-3"),
    "run-unknown-top-key": ("run", *_CELL, "--set", "method=lora", "--set", "batchsize=4"),
    "run-bad-value": ("run", *_CELL, "--set", "method=loretta_adp", "--set", "method.tensor_rank=0"),
    "run-bare-rank": ("run", *_CELL, "--set", "method=loretta_adp", "--set", "method.rank=4"),
    "run-absent-model": ("run", *_CELL, "--set", "method=lora", "--set", "model=/absent/model"),
    "run-absent-file": ("run", *_CELL, "--set", "method=lora", "--set", 'task={type="jsonl",train="/absent/a.jsonl",validation="/absent/b.jsonl"}'),
    "run-impossible": ("run", *_CELL, "--set", "method=lora", "--set", "trainer=zo_sgd", "--set", "engine=zero"),
    "run-no-value": ("run", "--set", "model"),
    "run-nothing-given": ("run",),
    "sweep-absent": ("sweep", "<TMP>/absent.toml"),
    "sweep-misspelt-override": ("sweep", f"<ROOT>/{QUICKSTART}", "--set", "trainer.stepz=3", "--dry-run"),
    "sweep-json-without-dry-run": ("sweep", f"<ROOT>/{QUICKSTART}", "--json"),
    "plan-no-device": ("plan", f"<ROOT>/{QUICKSTART}"),
    "plan-unknown-device": ("plan", f"<ROOT>/{QUICKSTART}", "--device", "abacus"),
    "compare-no-directory": ("compare", "--out", "<TMP>/absent"),
    "list-unknown-family": ("list", "optimizers"),
    "no-command": (),
    "unknown-command": ("sweeep",),
    "unknown-option": ("compare", "--tabel", "latex"),
}


def help_pages() -> Files:
    """`loretta --help`, and that of every command."""
    return dict([_said("loretta", "--help"), *(_said(name, name, "--help") for name in COMMANDS)])


def lists() -> Files:
    """`loretta list`, as text and as JSON."""
    return dict([*(_said(name, "list", name) for name in LISTS), *(_said(name, "list", name, "--json") for name in LISTS)])


def plans() -> Files:
    """What would run, and what it would take."""
    with _place() as place:
        dry = ("sweep", f"<ROOT>/{QUICKSTART}", "--dry-run", "--out", "<TMP>/out")
        llama = ("plan", "<ROOT>/jobs/sweeps/llama_sst2.toml", "--device", "a100-40gb")
        several = ("plan", "<ROOT>/jobs/sweeps/paper_llama.toml", "--device", "h100-80gb:4", "--device", "t4-16gb")
        search = ("sweep", "<ROOT>/jobs/sweeps/quickstart_search.toml", "--dry-run", "--out", "<TMP>/out")
        said = [("quickstart", dry), ("search", search), ("llama", llama), ("several", several)]
        said += [(name, (*words, "--json")) for name, words in (("quickstart", dry), ("llama", llama))]
        return dict(_said(name, *words, place=place) for name, words in said)


def refusals() -> Files:
    """What is refused, in which words and with which exit code; nothing is started or left behind."""
    with _place() as place:
        said = dict(_said(name, *words, *(["--out", "<TMP>/out"] if words[:1] == ("run",) else []), place=place) for name, words in REFUSED.items())
        assert not list(place.iterdir()), "a refusal left something behind"
        return said


def comparison() -> Files:
    """A sweep of made-up records: what `loretta compare` prints and writes."""
    with _place() as place:
        made_up(place / "out")
        commands = {"several": ("compare", "several"), "paper": ("compare", "paper")}
        commands |= {f"several-{form}": ("compare", "several", "--table", form) for form in ("markdown", "latex")}
        commands["several-cells"] = ("compare", "several", "--cells")
        said = [_said(name, *words, "--out", "<TMP>/out", place=place) for name, words in commands.items()]
        as_json = dict(_said(name, "compare", name, "--json", "--out", "<TMP>/out", place=place) for name in ("several", "paper"))
        said += [(file, _json(json.loads(text, **_SIX_DIGITS))) for file, text in as_json.items()]
        said.append(_said("several-standing", "sweep", "<TMP>/several.toml", "--dry-run", "--out", "<TMP>/out", place=place))
        return {**dict(said), **_report(place, "several"), **_report(place, "paper")}


def _report(place: Path, name: str) -> Files:
    """The files of the report. Drawings as digests; the page without them."""
    directory = place / "out" / "sweeps" / name
    figures = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((directory / "figures").iterdir())}
    page = re.sub(r"<svg.*?</svg>", "<svg/>", (directory / "report.html").read_text(encoding="utf-8"), flags=re.DOTALL)
    files = {f"{name}.table.{form}": (directory / f"table.{form}").read_text(encoding="utf-8") for form in ("md", "json")}
    return {**files, f"{name}.report.html": _placeless(page, place), f"{name}.figures.json": _json(figures)}


def made_up(out: Path) -> None:
    """Two sweeps: one with a failed cell, one that never ran, packed ones, a warning and predictions; and one of cells that the paper has too."""
    cells = [make_cell(method, trainer, f"seed={seed}") for method in ("loretta_adp", "lora", "ft") for trainer in ("adam", "zo_sgd") for seed in range(3)]
    records, predicted = [], {}
    for index, cell in enumerate(cells[:-2]):
        correct = 940 - 13 * index + 29 * (index % 3)
        predictions = _predictions(correct, shift=index) if cell.seed != 1 else None
        warnings = ("12 of 1000 test texts are longer than task.max_length and were cut",) if index == 4 else ()
        records.append((cell, _finished(cell, correct=correct, predictions=predictions, warnings=warnings, packed=index in (3, 4))))
        if predictions:
            predicted[cell.cell_id] = predictions
    records += [(cells[-2], failed_record(cells[-2], message="loss is <nan> at step 12 | lr = 1e-2")), (cells[-1], None)]
    paper = load_sweep(ROOT / "jobs/sweeps/paper_glue.toml").cells[:5]
    write_sweep(out, records=records, name="several", description="Three methods & two trainers", duplicates=(cells[0].label,))
    for cell_id, predictions in predicted.items():
        write_predictions(predictions, out / "cells" / cell_id)
    write_sweep(out, records=[(cell, _finished(cell, correct=880 - 9 * index)) for index, cell in enumerate(paper)], name="paper")
    axes = 'method = ["loretta_adp", "lora", "ft"]\ntrainer = ["adam", "zo_sgd"]\nseed = [0, 1, 2]\n'
    (out.parent / "several.toml").write_text(f'[defaults]\nmodel = "toy-bert"\ntask = "toy_sentiment"\n[axes]\n{axes}', encoding="utf-8")


def _predictions(correct: int, *, shift: int) -> Predictions:
    """Which rows are right, spread over the split in another way for every cell."""
    right = "".join("1" if (row * 617 + shift * 101) % 1000 < correct else "0" for row in range(1000))
    return Predictions(metric="accuracy", test_sha256="0" * 64, predictions=tuple(map(int, right)), right=right)


def api() -> Files:
    """The API's document, and what it answers on a made-up output directory."""
    from starlette.testclient import TestClient

    with _place() as place:
        out = place / "out"
        made_up(out)
        settings = ApiSettings(out=out, port=8000, allowed_hosts=("127.0.0.1:8000",), tokens=out / "tokens.json")
        app = create_app(settings, client=MemoryCluster())
        document = json.loads(json.dumps(app.openapi()))
        document["info"]["version"] = "<VERSION>"
        client = TestClient(guarded(app, settings), base_url="http://127.0.0.1:8000", follow_redirects=False)
        return {"openapi.json": _json(document), **{f"{name}.txt": _answered(client.get(f"/api/v1/{path}"), place) for name, path in ANSWERS.items()}}


def _answered(answer, place: Path) -> str:
    """`version` is the package's, or made of modification times."""
    is_json = answer.headers["content-type"].endswith("json")
    text = re.sub(r'"version": "[^"]*"', '"version": "<VERSION>"', _json(_recordless(answer.json(**_SIX_DIGITS)))) if is_json else answer.text
    return _placeless(f"GET {answer.url.raw_path.decode()}\n{answer.status_code} {answer.headers['content-type']}\n{text}", place)


def _recordless(content: dict) -> dict:
    """Without the record of a cell, which is shown as it lies on disk: its layout is pinned nowhere but in record_format_N."""
    return {**content, "record": "<RECORD>"} if "record" in content else content


ANSWERS = {
    "health": "health",
    "sweeps": "sweeps",
    "sweep": "sweeps/several",
    "comparison": "sweeps/several/comparison",
    "table": "sweeps/several/table?format=latex",
    "cell": "cells/4964eeec",
    "failed-cell": "cells/88879524",
    "jobs": "jobs",
    "cells": "sweeps/several/cells?limit=3&sort=score&descending=true",
    "no-sweep": "sweeps/absent",
    "no-path": "absent",
    "bad-query": "sweeps/several/cells?limit=0",
}

GROUPS: dict[str, Callable[[], Files]] = {"help": help_pages, "list": lists, "plan": plans, "refused": refusals, "compare": comparison, "api": api}


@contextlib.contextmanager
def _place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory).resolve()


def _said(name: str, *words: str, place: Path | None = None) -> tuple[str, str]:
    """File name and content: what a command says. JSON alone where it printed nothing else, so that tools can read it."""
    where = {"<ROOT>": str(ROOT), "<TMP>": str(place)}
    arguments = [re.sub("<ROOT>|<TMP>", lambda match: where[match[0]], word) for word in words]
    printed, complained = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))  # boxes are drawn for UTF-8 only
    with mock.patch.dict(os.environ, {"COLUMNS": "160", "NO_COLOR": "1"}), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complained):
        try:
            code: object = loretta(arguments)
        except SystemExit as exit_:
            code = exit_.code or 0
    out, err = (_placeless(_written(stream), place) for stream in (printed, complained))
    if "--json" in words and code == 0:
        assert not err, err
        return f"{name}.json", out
    return f"{name}.txt", "\n".join([f"$ loretta {' '.join(words)}", f"exit code {code}", "--- stdout", f"{out}--- stderr", err])


def _written(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def _placeless(text: str, place: Path | None) -> str:
    """Without the names of directories of this machine."""
    text = text.replace(str(place), "<TMP>") if place else text
    return text.replace(str(ROOT), "<ROOT>")


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def output() -> Files:
    """All groups."""
    return {f"output/{group}/{name}": text for group, make in GROUPS.items() for name, text in make().items()}


def record() -> Files:
    """A finished zeroth-order cell as it lies on disk, clocks and machine included: a digest covers them."""
    with _place() as place:
        _train(CURVES["bert-loretta_adp-zo_sgd"], place)
        files = {name: (place / name).read_text(encoding="utf-8") for name in ("record.json", "predictions.json", "cell.json", "metrics.jsonl")}
    return {f"record_format_{json.loads(files['record.json'])['format']}/{name}": text for name, text in files.items()}


MAKERS: dict[str, Callable[[], Files]] = {"ids": ids, "output": output, "curves": curves, "record": record}


def main() -> None:
    """Write the golden files; a kept record is not replaced."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.make", description="Make the golden files.")
    parser.add_argument("--out", type=Path, default=HERE, help="directory; by default that of the tests")
    parser.add_argument("--only", choices=MAKERS, help="by default all but record, which is made once per format")
    options = parser.parse_args()
    for name in [options.only] if options.only else ["ids", "output", "curves"]:
        if name == "output":
            shutil.rmtree(options.out / "output", ignore_errors=True)  # a file that is no longer made must not stay
        for path, text in MAKERS[name]().items():
            if name == "record" and (options.out / path).exists():
                parser.error(f"{options.out / path} is there; a record of an old format cannot be made again, so it is never replaced")
            (options.out / path).parent.mkdir(parents=True, exist_ok=True)
            (options.out / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
