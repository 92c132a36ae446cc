"""Figures of a report: well-formed, the same for the same records, and never a crash for want of data."""

import math
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from loretta_core.report.figures.draw import draw
from tests.loretta_core.report.figures.svg import standings_with, texts
from tests.loretta_core.report.figures.tried import standings_of_trials
from tests.loretta_core.report.synthetic import failed_record, findings_of, make_cell, make_record
from tests.paths import ROOT

pytestmark = pytest.mark.integration

FIGURES = ("score_against_parameters", "score_against_time", "training_loss")


def test_three_well_formed_figures(out):
    drawings = draw(findings_of(out, name="quickstart").standings)
    assert [drawing.name for drawing in drawings] == list(FIGURES)
    for drawing in drawings:
        assert drawing.svg.startswith("<svg")
        assert drawing.title
        assert drawing.caption
        shown = texts(drawing.svg)
        for method in ("loretta_adp", "loretta_rep", "lora", "adapters"):
            assert shown.count(method) == 2, (drawing.name, method)  # once with adam, once with zo_sgd
        assert "ft" not in shown  # it has no score


def test_ids_and_references_belong_together(out):
    """Three figures in one page: ids of one must not answer references of another."""
    ids, references = [], []
    for drawing in draw(findings_of(out, name="quickstart").standings):
        mine = re.findall(r'\bid="([^"]+)"', drawing.svg)
        assert all(identifier.startswith(f"{drawing.name}-") for identifier in mine)
        ids += mine
        references += re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', drawing.svg)
    assert len(ids) == len(set(ids))
    assert references
    assert {first or second for first, second in references} <= set(ids)


def test_the_same_records_give_the_same_bytes(out):
    code = (
        "import sys; from pathlib import Path; from tests.loretta_core.report.synthetic import findings_of; from loretta_core.report.figures.draw import draw\n"
        "sys.stdout.write(''.join(d.svg for d in draw(findings_of(Path(sys.argv[1]), name='quickstart').standings)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12", "MPLBACKEND": "pdf"}
    other = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    here = "".join(drawing.svg for drawing in draw(findings_of(out, name="quickstart").standings))
    assert here == other.stdout
    assert here == "".join(drawing.svg for drawing in draw(findings_of(out, name="quickstart").standings))


def test_no_data_no_figure(tmp_path):
    assert draw([]) == []
    failed, missing = make_cell("lora"), make_cell("ft")
    assert draw(standings_with(tmp_path, (failed, failed_record(failed)), (missing, None))) == []


def test_one_point(tmp_path):
    cell = make_cell()
    record = make_record(cell, curves={"train_loss": [(1, 0.7)]}, cost={"trainable_params": 1, "train_s": 0.001})
    drawings = draw(standings_with(tmp_path, (cell, record)))
    assert [drawing.name for drawing in drawings] == list(FIGURES)
    for drawing in drawings:
        assert "lora" in texts(drawing.svg)
    assert "no such cell in this sweep" in texts(drawings[-1].svg)  # nothing was trained without gradients


@pytest.mark.parametrize(
    "changes",
    [
        {"cost": {"trainable_params": None, "train_s": None}, "curves": {}},
        {"cost": {"trainable_params": 0, "train_s": 0.0}, "curves": {"train_loss": []}},
    ],
)
def test_a_record_without_costs_is_left_out(tmp_path, changes):
    cell = make_cell()
    assert draw(standings_with(tmp_path, (cell, make_record(cell, **changes)))) == []


@pytest.mark.parametrize(
    "changes", [{"score": {"low": None}}, {"score": {"initial": None}}, {"curves": {"train_loss": [(1, 0.7), (2, math.nan), (3, math.inf)]}}]
)
def test_a_figure_of_partial_numbers_is_accepted_by_an_xml_parser(tmp_path, changes):
    cell, other = make_cell(), make_cell("ft")
    for drawing in draw(standings_with(tmp_path, (cell, make_record(cell, **changes)), (other, make_record(other)))):
        ElementTree.fromstring(drawing.svg)


def test_any_model_name_is_shown_as_it_is(tmp_path):
    names = ["a$b$c", "$x_{$", "<script>", "a & b", "_hidden", "ünï"]
    cells = [make_cell("lora", "adam", f"model=dir/{name}") for name in names]
    for drawing in draw(standings_with(tmp_path, *((cell, make_record(cell)) for cell in cells))):
        titles = {text.split(" on toy_sentiment")[0] for text in texts(drawing.svg) if " on toy_sentiment" in text}
        assert titles == set(names)


def test_time_has_round_ticks(tmp_path):
    cells = [make_cell("lora"), make_cell("ft")]
    drawings = draw(
        standings_with(tmp_path, *((cell, make_record(cell, cost={"train_s": seconds})) for cell, seconds in zip(cells, (1100.0, 2500.0), strict=True)))
    )
    assert {"20 min", "30 min", "1 h"} <= set(texts(drawings[1].svg))


def test_a_panel_for_each_model_and_task(tmp_path):
    cells = [make_cell("lora", "adam", f"model={model}", f"task.data_seed={seed}") for model in ("toy-bert", "org/large") for seed in (0, 1)]
    drawings = draw(standings_with(tmp_path, *((cell, make_record(cell)) for cell in cells)))
    titles = {f"{model} on toy_sentiment data_seed={seed}" for model in ("toy-bert", "large") for seed in (0, 1)}
    for drawing in drawings:
        assert titles <= set(texts(drawing.svg))


@pytest.mark.parametrize(("algorithm", "meaning"), [("random", "fewer random trials"), ("optuna", "not an expectation")])
def test_tuning_has_two_figures_after_those_of_costs(algorithm, meaning):
    drawings = draw(standings_of_trials([(0.7, 0.9, 0.8, 0.5)]), algorithm=algorithm)
    assert [drawing.name for drawing in drawings] == [*FIGURES[:2], "learning_rates", "tuning_budget", FIGURES[2]]
    assert meaning in drawings[3].caption


def test_of_many_contenders_the_captions_name_those_left_out():
    drawings = draw(standings_of_trials([(0.7, 0.9, 0.8, 0.5)] * 21), names=("learning_rates", "tuning_budget"))
    assert all(drawing.caption.endswith("drawn, of 21.") for drawing in drawings)
