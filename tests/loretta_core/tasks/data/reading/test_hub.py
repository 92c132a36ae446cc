"""Addresses of data sets on the hub."""

import pytest

from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.hub import parse_address


def test_addresses():
    assert parse_address("hf://fancyzhx/ag_news:train") == ("fancyzhx/ag_news", None, "train")
    assert parse_address("hf://nyu-mll/glue/sst2:train[:500]") == ("nyu-mll/glue", "sst2", "train[:500]")
    with pytest.raises(DataError, match=r"expected hf://owner/name:split"):
        parse_address("hf://ag_news")
