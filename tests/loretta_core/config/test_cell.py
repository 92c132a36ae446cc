"""A cell is a value: its JSON round-trips, its id is pinned, placement does not change it."""

import subprocess
import sys
import tomllib

import pytest

from loretta_core.config import FAMILIES, CellConfig, cell_from_overrides, load_sweep
from tests.paths import ROOT

TOY = ["model=toy-bert", "task=toy_sentiment"]

# Pinned on purpose. If one of these changes, finished cells of every user are no longer found: raise SCHEMA_VERSION and say so in CHANGELOG.
PINNED = {
    "method=lora trainer=adam": "2b154dcd0a22c5a0",
    "method=loretta_adp trainer=adam": "4964eeecac8ef082",
    "method=loretta_rep trainer=adam": "2f38fa44ff891715",
    "method=adapters trainer=adam": "0eff81e457753a9a",
    "method=ft trainer=adam": "58660cfcaac65623",
    "method=lora trainer=zo_sgd": "ef3f8a470d700a6b",
    "method=loretta_adp method.tensor_rank=2 trainer=zo_sgd trainer.lr=0.001": "da285f26a7391431",
    "method=ft trainer=adam trainer.epochs=2 seed=7": "96422207ade95a0a",
    "method=lora method.target_modules=['query','value'] trainer=adam precision=bf16": "8141ade05a3fdf69",
    "method=lora trainer=zo_sgd task.objective=head batch_size=64": "c8133c4bd7888c0b",
}


@pytest.mark.parametrize(("overrides", "cell_id"), PINNED.items(), ids=PINNED.values())
def test_ids_are_pinned(overrides, cell_id):
    assert cell_from_overrides([*TOY, *overrides.split()]).cell_id == cell_id


@pytest.mark.parametrize("overrides", PINNED)
def test_json_round_trip_keeps_the_cell_and_its_id(overrides):
    cell = cell_from_overrides([*TOY, *overrides.split()])
    again = CellConfig.from_json(cell.to_json())
    assert again == cell
    assert again.cell_id == cell.cell_id


def test_placement_and_spelled_out_defaults_do_not_change_the_id():
    plain = cell_from_overrides([*TOY, "method=lora", "trainer=adam"])
    placed = cell_from_overrides([*TOY, "method=lora", "trainer=adam", "engine.cpus=2", "engine.gradient_accumulation=4", "method.r=8", "seed=0"])
    assert placed.cell_id == plain.cell_id
    assert placed != plain


def test_every_identity_field_changes_the_id():
    changes = ["seed=1", "batch_size=8", "precision=bf16", "trainer.lr=0.1", "method.r=4", "task.max_length=32", "model.name=x"]
    ids = {cell_from_overrides([*TOY, "method=lora", "trainer=adam", *change]).cell_id for change in [[], *[[c] for c in changes]]}
    assert len(ids) == len(changes) + 1


def test_spaces_around_a_prompt_and_its_answers_belong_to_them():
    task = '{type="jsonl", train=" a ", validation="a", objective="causal", template="{text}\\n", verbalizer=[" no", " yes"]}'
    read = cell_from_overrides(["model=toy-llama", f"task={task}", "method=lora", "trainer=adam"]).task
    assert (read.train, read.template, read.verbalizer) == ("a", "{text}\n", [" no", " yes"])


def test_every_field_of_every_family_has_a_docstring():
    silent = [
        f"{cls.__name__}.{name}"
        for family in FAMILIES.values()
        for cls in family.values()
        for name, field in cls.model_fields.items()
        if name != "type" and not field.description
    ]
    assert silent == []


def test_every_sweep_in_the_repository_loads():
    paths = sorted(ROOT.glob("jobs/sweeps/*.toml"))
    assert paths
    for path in paths:
        assert load_sweep(path).cells, path
        assert tomllib.loads(path.read_text())["description"], f"{path} does not say what it is for"


PLANNING = (
    "loretta_core, loretta_core.config, loretta_core.plan.cell, loretta_core.store.records, loretta_core.sites, loretta_core.support, loretta_core.tt.shapes, "
    "services.cli, services.commands.dry_run, services.commands.list"
)


def test_planning_rooms_do_not_import_torch():
    code = f"import sys, {PLANNING}; found = {{'torch', 'transformers', 'ray', 'mlflow'}} & set(sys.modules); sys.exit(str(found) if found else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_the_seed_documents_sweeps_have_the_cells_they_promise():
    cells = {path.stem: load_sweep(path).cells for path in (ROOT / "jobs" / "sweeps").glob("*.toml")}
    bert = cells["bert_all"]
    assert len(bert) == 4 * 5 * 3
    assert {(cell.method.type, cell.trainer.type) for cell in bert} == {
        (method, trainer) for method in ("loretta_adp", "loretta_rep", "lora", "adapters", "ft") for trainer in ("adam", "zo_sgd", "zo_adam")
    }
    llama = {(cell.method.type, cell.trainer.type) for cell in cells["llama_sst2"]}
    assert llama == {("ft", "adam"), ("ft", "zo_sgd"), ("lora", "adam"), ("lora", "zo_sgd"), ("lora", "none"), ("lora", "icl")}
    assert len(cells["paper_glue"]) == 2 * 8 * 8
    assert len(cells["paper_llama"]) == 7 * (6 + 2)
