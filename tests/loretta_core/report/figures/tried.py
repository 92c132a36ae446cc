"""Contenders with trials, made up: so many, at these learning rates."""

from loretta_core.report.rows import build_rows
from loretta_core.report.verdict.contenders import build_contenders
from loretta_core.report.verdict.findings import find
from loretta_core.store.manifest import Contender, Manifest
from tests.loretta_core.report.synthetic import failed_record, make_cell, make_record

RATES = (1e-4, 1e-3, 1e-2, 1e-1)


def manifest_with(scores, *, overrides=lambda index: ("lora", "adam", f"method.r={index + 1}"), settings=tuple((f"trainer.lr={rate}",) for rate in RATES)):
    """(manifest, records): a contender for each list of validation scores, with a trial for each score, None for a failed one."""
    cells, records, contenders = {}, {}, []
    for index, values in enumerate(scores):
        trials = [make_cell(*overrides(index), *setting) for setting in settings[: len(values)]]
        for trial, value in zip(trials, values, strict=True):
            made = make_record(trial, score={"value": None, "low": None, "high": None, "rows": None, "validation": value})
            records[trial.cell_id] = failed_record(trial) if value is None else made
        best = max(range(len(values)), key=lambda at: values[at] or 0)
        replicate = make_cell(*overrides(index), *settings[best], "seed=1000")
        records[replicate.cell_id] = make_record(replicate, correct=900 - index)
        cells |= {cell.cell_id: cell for cell in (*trials, replicate)}
        ids = tuple(trial.cell_id for trial in trials)
        contenders.append(Contender(name=f"lora r={index + 1} · adam", trials=ids, winner=ids[best], replicates=(replicate.cell_id,)))
    return Manifest(name="tuned", cells=tuple(cells), resolved=cells, contenders=tuple(contenders)), records


def contenders_with(scores, **more):
    manifest, records = manifest_with(scores, **more)
    return build_contenders(manifest, build_rows(manifest, records=records))


def standings_of_trials(scores, **more):
    manifest, records = manifest_with(scores, **more)
    return find(manifest, build_rows(manifest, records=records), predictions={}).standings
