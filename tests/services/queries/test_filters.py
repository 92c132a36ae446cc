"""Filters, order and pages of the rows of a comparison."""

import pytest

from services.queries.filters import Selection, choices, paginate, select
from services.queries.run_index import RunIndex


@pytest.fixture
def rows(results):
    return RunIndex(results).sweep("small").rows


def test_rows_are_selected_by_label_and_status(rows):
    assert [row.labels["method"] for row in select(rows, Selection(method="lora"))] == ["lora"]
    assert select(rows, Selection(method="lora", status="failed")) == []
    assert select(rows, Selection()) == list(rows)


def test_rows_are_sorted_in_both_directions(rows):
    assert [row.labels["method"] for row in select(rows, Selection(sort="method"))] == ["lora", "loretta_adp"]
    assert [row.labels["method"] for row in select(rows, Selection(sort="method", descending=True))] == ["loretta_adp", "lora"]


def test_only_filters_with_several_values_are_offered(rows):
    assert choices(rows) == {"method": [row.labels["method"] for row in rows]}


@pytest.mark.parametrize(("offset", "page", "following"), [(0, [0, 1], 2), (2, [2, 3], 4), (4, [4], None), (9, [], None)])
def test_pages_of_a_list(offset, page, following):
    assert paginate(range(5), offset=offset, limit=2) == (range(5)[offset : offset + 2], following)
    assert list(paginate(range(5), offset=offset, limit=2)[0]) == page
