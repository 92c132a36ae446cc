"""What is taken of a written answer."""

import pytest

from loretta_core.config.metrics import EXTRACTORS as NAMED
from loretta_core.tasks.scoring.extractors import EXTRACTORS, extract

CASES = [
    ("last_number", "She has 3 + 4 = 7 apples.\n#### 7", None, "7"),
    ("last_number", "so it costs $1,200.50.", None, "1200.5"),
    ("last_number", "that is 72.0", None, "72"),
    ("last_number", "-5 degrees", None, "-5"),
    ("last_number", "between 3-5", None, "5"),
    ("last_number", "1,2,3", None, "3"),
    ("last_number", "1,000,000 in 2024.", None, "2024"),
    ("last_number", "half is .5", None, "0.5"),
    ("last_number", "200", None, "200"),
    ("last_number", "9" * 40, None, "9" * 40),
    ("last_number", "none", None, None),
    ("regex", "a=1, a=2", r"a=(\d)", "2"),
    ("regex", "yes or no", "yes|no", "no"),
    ("regex", "maybe", "yes|no", None),
    ("after", "reason\n#### 7 apples\nmore", "####", "7 apples"),
    ("after", "reason", "####", None),
    ("after", "reason ####", "####", None),
    ("json", 'Sure: ```{"b": 1,\n "a": [1, 2]}``` done', None, '{"a": [1, 2], "b": 1}'),
    ("json", "{broken", None, None),
    ("json", "[" + "9" * 5000 + "]", None, None),
    ("json", "[" * 2000, None, None),
    ("first_letter", "(b) because A is wrong", None, "B"),
    ("first_letter", "The answer is C.", None, "C"),
    ("first_letter", "none here", None, None),
]


@pytest.mark.parametrize(("name", "text", "pattern", "expected"), CASES)
def test_what_is_taken(name, text, pattern, expected):
    assert extract(name, text, pattern=pattern) == expected


def test_every_extractor_that_can_be_named_is_there():
    assert EXTRACTORS.keys() == NAMED.keys()
