"""Figures: well-formed, the same for the same records, readable, and never a crash for want of data."""

import itertools
import math
import os
import random
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loretta_core.report import units
from loretta_core.report.figures.curves import loss_curves, mean_curve, running_mean
from loretta_core.report.figures.draw import draw
from loretta_core.report.figures.placement import Label, place, spread
from loretta_core.report.figures.scatter import _columns, _some, scatter
from loretta_core.report.figures.style import PALETTE, colour_of, ink, panels, styled
from tests.loretta_core.report.synthetic import failed_record, make_cell, make_record, plausible_record, rows_of, write_sweep
from tests.paths import ROOT

pytestmark = pytest.mark.integration

SVG = "{http://www.w3.org/2000/svg}"
FIGURES = ("score_against_parameters", "score_against_time", "training_loss")


def rows_with(tmp_path, *records):
    return rows_of(write_sweep(tmp_path, records=list(records)))


def texts(svg):
    return ["".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def size(svg):
    return [float(number) for number in ElementTree.fromstring(svg).attrib["viewBox"].split()[2:]]


def by_parameters(rows):
    return scatter(rows, name="x", cost=lambda row: row.record.cost.trainable_params if row.record else None, axis="parameters", unit=units.short_count)


def test_three_well_formed_figures(out):
    drawings = draw(rows_of(out, name="quickstart"))
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
    for drawing in draw(rows_of(out, name="quickstart")):
        mine = re.findall(r'\bid="([^"]+)"', drawing.svg)
        assert all(identifier.startswith(f"{drawing.name}-") for identifier in mine)
        ids += mine
        references += re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', drawing.svg)
    assert len(ids) == len(set(ids))
    assert references
    assert {first or second for first, second in references} <= set(ids)


def test_the_same_records_give_the_same_bytes(out):
    code = (
        "import sys; from pathlib import Path; from tests.loretta_core.report.synthetic import rows_of; from loretta_core.report.figures.draw import draw\n"
        "sys.stdout.write(''.join(d.svg for d in draw(rows_of(Path(sys.argv[1]), name='quickstart'))))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12", "MPLBACKEND": "pdf"}
    other = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    here = "".join(drawing.svg for drawing in draw(rows_of(out, name="quickstart")))
    assert here == other.stdout
    assert here == "".join(drawing.svg for drawing in draw(rows_of(out, name="quickstart")))


def test_no_data_no_figure(tmp_path):
    assert draw([]) == []
    failed, missing = make_cell("lora"), make_cell("ft")
    assert draw(rows_with(tmp_path, (failed, failed_record(failed)), (missing, None))) == []


def test_one_point(tmp_path):
    cell = make_cell()
    record = make_record(cell, curves={"train_loss": [(1, 0.7)]}, cost={"trainable_params": 1, "train_s": 0.001})
    drawings = draw(rows_with(tmp_path, (cell, record)))
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
    assert draw(rows_with(tmp_path, (cell, make_record(cell, **changes)))) == []


@pytest.mark.parametrize(
    "changes", [{"score": {"low": None}}, {"score": {"initial": None}}, {"curves": {"train_loss": [(1, 0.7), (2, math.nan), (3, math.inf)]}}]
)
def test_partial_numbers_do_not_break_a_figure(tmp_path, changes):
    cell, other = make_cell(), make_cell("ft")
    for drawing in draw(rows_with(tmp_path, (cell, make_record(cell, **changes)), (other, make_record(other)))):
        ElementTree.fromstring(drawing.svg)


def test_any_model_name_is_shown_as_it_is(tmp_path):
    names = ["a$b$c", "$x_{$", "<script>", "a & b", "_hidden", "ünï"]
    cells = [make_cell("lora", "adam", f"model=dir/{name}") for name in names]
    for drawing in draw(rows_with(tmp_path, *((cell, make_record(cell)) for cell in cells))):
        titles = {text.split(" on toy_sentiment")[0] for text in texts(drawing.svg) if " on toy_sentiment" in text}
        assert titles == set(names)


def marker_positions(svg):
    """x of the markers of the data points; those of the legend are not clipped."""
    clipped = [group for group in ElementTree.fromstring(svg).iter(f"{SVG}g") if "clip-path" in group.attrib]
    uses = [use for group in clipped for use in group.iter(f"{SVG}use") if "stroke: #ffffff" in use.attrib["style"]]
    return sorted(float(use.attrib["x"]) for use in uses)


def test_costs_are_on_a_logarithmic_axis(tmp_path):
    cells = [make_cell("lora", "adam", f"method.r={r}") for r in (1, 2, 4, 8)]
    svg = by_parameters(
        rows_with(tmp_path, *((cell, make_record(cell, cost={"trainable_params": 10**power})) for cell, power in zip(cells, (3, 4, 5, 6), strict=True)))
    )
    steps = [right - left for left, right in itertools.pairwise(marker_positions(svg))]
    assert len(steps) == 3
    assert max(steps) - min(steps) < 0.01 * max(steps)
    assert {"1k", "10k", "100k", "1M"} <= set(texts(svg))


def test_time_has_round_ticks(tmp_path):
    cells = [make_cell("lora"), make_cell("ft")]
    drawings = draw(rows_with(tmp_path, *((cell, make_record(cell, cost={"train_s": seconds})) for cell, seconds in zip(cells, (1100.0, 2500.0), strict=True))))
    assert {"20 min", "30 min", "1 h"} <= set(texts(drawings[1].svg))


@given(st.floats(1e-3, 5e5), st.floats(1, 1000))
def test_there_are_always_two_to_nine_time_ticks(low, ratio):
    """The axis spans a factor of 4.7 around its points."""
    assert 2 <= len(_some(units.TIME_TICKS, low / 1.8, low * ratio * 2.6)) <= 9


def test_a_panel_for_each_model_and_task(tmp_path):
    cells = [make_cell("lora", "adam", f"model={model}", f"task.data_seed={seed}") for model in ("toy-bert", "org/large") for seed in (0, 1)]
    drawings = draw(rows_with(tmp_path, *((cell, make_record(cell)) for cell in cells)))
    titles = {f"{model} on toy_sentiment data_seed={seed}" for model in ("toy-bert", "large") for seed in (0, 1)}
    for drawing in drawings:
        assert titles <= set(texts(drawing.svg))


def boxes_of_names(svg, names):
    """Where texts stand, roughly: from the position in the SVG and the number of letters."""
    found = []
    for element in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        text = "".join(element.itertext()).strip()
        place_of = re.search(r"translate\(([\d.]+) ([\d.]+)\)", element.attrib.get("transform", ""))
        x, y = (float(part) for part in place_of.groups()) if place_of else (float(element.attrib["x"]), float(element.attrib["y"]))
        if text in names:
            found.append((text, x, y))
    return found


@pytest.mark.parametrize("count", [5, 12, 24])
def test_names_of_lines_stay_apart_and_inside(tmp_path, count):
    """Also when the curves end at the same point, and with names of 40 letters."""
    cells = [make_cell("loretta_adp", "adam", f"method.tensor_rank={rank}", f"method.bottleneck_size={64 + rank}") for rank in range(1, count + 1)]
    svg = loss_curves(rows_with(tmp_path, *((cell, make_record(cell)) for cell in cells)), name="x")
    names = {f"loretta_adp tensor_rank={rank} bottleneck_size={64 + rank}" for rank in range(1, count + 1)}
    found = boxes_of_names(svg, names)
    assert {name for name, _, _ in found} == names
    heights = sorted(y for _, _, y in found)
    width, height = size(svg)
    assert all(later - earlier > 10 for earlier, later in itertools.pairwise(heights))
    assert heights[0] > 0
    assert heights[-1] < height
    assert all(x + 4.2 * len(name) < width for name, x, _ in found)


def test_seeds_share_a_line(tmp_path):
    cells = [make_cell("lora", "adam", f"seed={seed}") for seed in range(3)]
    noise = random.Random(0)
    svg = loss_curves(rows_with(tmp_path, *((cell, plausible_record(cell, noise=noise)) for cell in cells)), name="x")
    assert texts(svg).count("lora") == 1
    assert not [text for text in texts(svg) if "seed" in text]


def test_trainers_of_one_method_are_told_apart(tmp_path):
    cells = [make_cell("lora", "adam", f"trainer.lr={lr}") for lr in (1e-4, 1e-3)]
    svg = loss_curves(rows_with(tmp_path, *((cell, make_record(cell)) for cell in cells)), name="x")
    assert {"lora, adam lr=0.0001", "lora, adam lr=0.001"} <= set(texts(svg))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_legend_fits(tmp_path, count):
    cells = [make_cell("lora", "zo_sgd", f"trainer.lr={lr}", f"trainer.steps={100 + index}") for index, lr in enumerate([1e-5, 2e-5, 5e-5, 1e-4, 2e-4][:count])]
    svg = by_parameters(rows_with(tmp_path, *((cell, make_record(cell)) for cell in cells)))
    entries = {text for text in texts(svg) if text.endswith("(forward passes only)")}
    assert len(entries) == count
    width, height = size(svg)
    found = boxes_of_names(svg, entries)
    assert all(x > 0 and x + 5 * len(name) < width and 0 < y < height for name, x, y in found), (found, width)


def test_legend_columns():
    assert _columns(["adam", "zo"], width=7.6) == 2
    assert _columns(["x" * 30] * 5, width=7.6) == 2
    assert _columns(["x" * 300], width=7.6) == 1


def test_a_point_without_a_place_for_its_name_goes_without(tmp_path):
    """Fifty cells at one point: the names that are written do not overlap."""
    with styled():
        figure, (axes,) = panels(1, columns=1, width=6, height=4)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        figure.draw_without_rendering()
        placed = place(axes, [Label(x=0.5, y=0.5, text=f"method number {index}", colour=PALETTE[0]) for index in range(50)])
        written = [text.get_window_extent() for text in axes.texts if text.get_text()]
        frame = axes.get_window_extent()
    assert 5 < placed < 50
    assert placed == len(written)
    assert not [1 for a, b in itertools.combinations(written, 2) if a.overlaps(b)]
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in written)


@given(st.lists(st.floats(0, 1000), max_size=30), st.floats(0.5, 50))
def test_spread_keeps_distance_order_and_centre(positions, gap):
    result = spread(positions, gap=gap)
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    moved = [result[index] for index in order]
    assert all(later - earlier >= gap * (1 - 1e-9) - 1e-9 for earlier, later in itertools.pairwise(moved))
    assert sum(result) == pytest.approx(sum(positions), abs=1e-6 * (1 + sum(positions)))


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=20))
def test_spread_stays_inside_if_it_can(positions):
    result = spread(positions, gap=10, low=200, high=500)
    assert min(result) >= 200 - 1e-6
    assert max(result) <= 500 + 1e-6
    assert all(later - earlier >= 10 - 1e-6 for earlier, later in itertools.pairwise(sorted(result)))


@given(st.lists(st.integers(0, 1000), unique=True, max_size=10))
def test_spread_leaves_alone_what_is_apart(positions):
    assert spread([20.0 * position for position in positions], gap=10) == [20.0 * position for position in positions]


points = st.lists(st.floats(-100, 100), min_size=1, max_size=30).map(lambda values: list(enumerate(values)))


@given(points, st.integers(1, 10))
def test_running_mean(curve, window):
    smooth = running_mean(curve, window=window)
    assert [step for step, _ in smooth] == [step for step, _ in curve]
    values = [value for _, value in curve]
    assert smooth[-1][1] == pytest.approx(sum(values[-window:]) / len(values[-window:]))
    assert min(values) - 1e-9 <= min(value for _, value in smooth)


def test_mean_curve():
    assert mean_curve([[(0, 1.0), (5, 3.0)], [(0, 3.0), (5, 5.0), (9, 7.0)]]) == [(0, 2.0), (5, 4.0), (9, 7.0)]
    assert mean_curve([]) == []


def contrast_with_white(colour):
    """WCAG 2 contrast ratio."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 1.05 / (sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)) + 0.05)


@pytest.mark.parametrize("colour", PALETTE)
def test_names_are_readable_on_white(colour):
    assert contrast_with_white(ink(colour)) >= 4.5  # WCAG AA for small text


def test_colours_repeat_only_when_they_run_out():
    assert len(set(colour_of("abcdefgh").values())) == 8
    assert colour_of("ab", skip=2) == {"a": PALETTE[2], "b": PALETTE[3]}
