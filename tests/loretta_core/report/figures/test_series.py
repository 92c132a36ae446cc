"""Contenders in figures of trials: at most twenty, each with a look of its own."""

import pytest

from loretta_core.report.figures.series import left_out_note, look_of, panels_of
from tests.loretta_core.report.figures.tried import contenders_with

pytestmark = pytest.mark.integration


def test_twenty_contenders_are_drawn_and_look_different():
    panels = panels_of(contenders_with([(0.5 + index / 100,) for index in range(20)]))
    assert [(len(panel.members), panel.left_out) for panel in panels] == [(20, 0)]
    assert left_out_note(panels) == ""
    looks = look_of(panels).values()
    assert len({(look.colour, look.marker) for look in looks}) == 20
    assert len({(look.marker, look.dash) for look in looks}) == 20  # also without colours


def test_of_more_the_best_twelve_are_drawn_and_the_caption_says_so():
    (panel,) = panels_of(contenders_with([(0.5 + index / 100,) for index in range(21)]))
    assert [member.name for member in panel.members] == [f"lora r={rank} · adam" for rank in range(21, 9, -1)]
    assert left_out_note([panel]) == " Only the first 12 contenders by validation score are drawn, of 21."


def test_a_panel_for_each_task_and_model():
    models = ("toy-bert", "org/large")
    found = contenders_with([(0.5,), (0.6,)], overrides=lambda index: ("lora", "adam", f"model={models[index]}"))
    panels = panels_of(found)
    assert {panel.title for panel in panels} == {"toy-bert on toy_sentiment", "large on toy_sentiment"}
    assert {panel.metric for panel in panels} == {found[0].trials[0].record.score.name}
