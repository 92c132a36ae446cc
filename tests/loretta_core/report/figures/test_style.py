"""Colours: readable as text, and different as long as there are enough."""

import pytest

from loretta_core.report.figures.style import PALETTE, colour_of, ink, legend_columns

pytestmark = pytest.mark.integration


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


def test_legend_columns():
    assert legend_columns(["adam", "zo"], width=7.6) == 2
    assert legend_columns(["x" * 30] * 5, width=7.6) == 2
    assert legend_columns(["x" * 300], width=7.6) == 1
