"""The client against what a vLLM was asked and answered, and against servers that are away, late or refuse."""

from pathlib import Path

import pytest

from loretta_core.errors import CellFailed
from loretta_core.train.served import completions
from loretta_core.train.served.completions import CompletionsServer
from tests.loretta_core.train.served.servers import RECORDED, serving


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(completions, "FIRST_PAUSE_S", 0.0)


class Script:
    """Gives recorded answers one after the other, the last for ever, and keeps what it was asked."""

    def __init__(self, *names):
        self.answers, self.asked, self.tokens = [RECORDED[name] if isinstance(name, str) else name for name in names], [], []

    def __call__(self, path, body, headers):
        self.asked.append((path, body))
        self.tokens.append(headers["Authorization"])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer["status"], answer["response"]


AWAY = {"status": 503, "response": "busy"}


def test_log_probabilities_are_asked_and_read_as_vllm_has_them():
    script = Script("completions")
    with serving(script) as url:
        found = CompletionsServer(url, token="secret").log_probabilities("toy-llama", [(5, 6, 7, 8), (2, 9, 10)])
    assert found == [[-5.941704750061035, -10.283561706542969, -8.336817741394043], [-2.3887462615966797, -11.957321166992188]]
    assert (script.asked, script.tokens) == ([("completions", RECORDED["completions"]["request"])], ["Bearer secret"])


def test_adapters_come_and_go():
    script = Script("load", "unload")
    with serving(script) as url:
        server = CompletionsServer(url)
        server.load("a1", Path("/adapters/a1"))
        server.unload("a1")
    assert script.asked == [("load_lora_adapter", RECORDED["load"]["request"]), ("unload_lora_adapter", RECORDED["unload"]["request"])]
    assert script.tokens == [None, None]


@pytest.mark.parametrize("names", [(AWAY, "load"), (AWAY, AWAY, "load_again")])
def test_a_busy_server_is_asked_again_and_may_have_done_it_before(names):
    script = Script(*names)
    with serving(script) as url:
        CompletionsServer(url, retries=2).load("a1", Path("/adapters/a1"))
    assert len(script.asked) == len(names)


@pytest.mark.parametrize(
    ("names", "told", "asked"),
    [
        (["no_such_model"], "refused completions: 404 The model `nope` does not exist", 1),
        (["no_token"], "refused completions: 401 Unauthorized", 1),
        ([AWAY], "did not answer completions in 3 tries: busy", 3),
        ([{"status": 200, "response": {"choices": [{"index": 0, "text": ""}]}}], "must be a server with vLLM's API", 1),
    ],
)
def test_what_fails_is_one_line(names, told, asked):
    script = Script(*names)
    with serving(script) as url, pytest.raises(CellFailed, match=told) as failure:
        CompletionsServer(url, retries=2).log_probabilities("nope", [[5, 6]])
    assert (failure.value.kind, len(script.asked), "\n" in str(failure.value)) == ("infrastructure", asked, False)


def test_a_server_that_is_not_there_is_told_with_its_address():
    with serving(Script("load")) as url:
        pass
    with pytest.raises(CellFailed, match=rf"{url} did not answer unload_lora_adapter in 2 tries: .*refused"):
        CompletionsServer(url, retries=1).unload("a1")
