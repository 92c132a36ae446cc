"""Prompts of the masked-LM benchmarks, pinned; forms of columns; nothing is filled twice."""

import pytest

from loretta_core.config.task import COLUMN_FORMS
from loretta_core.tasks.data.benchmarks import BENCHMARKS
from loretta_core.tasks.data.templates import FORMS, fill

PAIR = {"sentence1": "The plot is thin .", "sentence2": "It has a plot."}
NLI = {"premise": "A man sleeps.", "hypothesis": "Nobody is awake"}

GOLDEN = {
    "cola": ({"sentence": "They drank the pub."}, "They drank the pub. This is <mask>."),
    "sst2": ({"sentence": "a smile on your face "}, "a smile on your face It was <mask>."),
    "mrpc": (PAIR, "The plot is thin . <mask>, it has a plot."),
    "qqp": ({"question1": "What is TT?", "question2": "What's a tensor train?"}, "What is TT? <mask>, what's a tensor train?"),
    "stsb": (PAIR, "The plot is thin . <mask>, it has a plot."),
    "mnli": (NLI, "A man sleeps? <mask>, nobody is awake"),
    "mnli_mm": (NLI, "A man sleeps? <mask>, nobody is awake"),
    "qnli": ({"question": "Who wrote it?", "sentence": "Ada did."}, "Who wrote it? <mask>, ada did."),
    "rte": (PAIR, "The plot is thin? <mask>, it has a plot."),
    "wnli": (PAIR, "The plot is thin? <mask>, it has a plot."),
    "sst5": ({"text": "a smile on your face"}, "a smile on your face It was <mask>."),
    "snli": (NLI, "A man sleeps? <mask>, nobody is awake"),
    "trec": ({"text": "Who wrote it?"}, "<mask>: Who wrote it?"),
}


def test_every_prompt_of_the_masked_language_model_is_pinned():
    assert {name for name, benchmark in BENCHMARKS.items() if benchmark.template} == set(GOLDEN)
    for name, (text, expected) in GOLDEN.items():
        assert fill(BENCHMARKS[name].template, {**text, "mask": "<mask>"}) == expected, name


def test_every_form_that_the_config_lets_pass_is_known():
    assert set(FORMS) == {"", *COLUMN_FORMS}


@pytest.mark.parametrize(
    ("template", "text", "expected"),
    [
        ("{a:open}?", {"a": "Why?! "}, "Why??"),
        ("{a:open}?", {"a": "no mark"}, "no mark?"),
        ("{a:open}?", {"a": ""}, "?"),
        ("{a:lower}", {"a": "ÄB"}, "äB"),
        ("{a} {b}", {"a": "{b}", "b": "{a}"}, "{b} {a}"),
        ("{my column} {other}", {"my column": "x"}, "x {other}"),
        ("{a:loud}", {"a": "x"}, "{a:loud}"),
        ("{a}{#b} of {b}{/b}.", {"a": "x", "b": "y"}, "x of y."),
        ("{a}{#b} of {b}{/b}.", {"a": "x", "b": " "}, "x."),
    ],
)
def test_forms_and_braces(template, text, expected):
    assert fill(template, text) == expected
