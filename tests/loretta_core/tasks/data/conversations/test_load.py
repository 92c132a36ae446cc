"""Instruction and chat files as people have them."""

import json

import pytest

from loretta_core.config.task import Chat, Instruct
from loretta_core.errors import DataError
from loretta_core.tasks.data.conversations.load import load_conversations

ALPACA = {"instruction": "Add.", "input": "1 2", "output": "3"}
TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
SHARED = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]


@pytest.fixture
def load(tmp_path):
    """load(rows, type=…, settings) → training rows and notes; the same rows are the validation rows unless given."""

    def load(rows, *, validation=None, name="a.jsonl", **settings):
        text = rows if isinstance(rows, str) else "\n".join(map(json.dumps, rows))
        (tmp_path / name).write_text(text)
        other = tmp_path / "v.jsonl"
        other.write_text("\n".join(map(json.dumps, validation or rows)))
        task = {"instruct": Instruct, "chat": Chat}[settings["type"]]
        splits, notes = load_conversations(task(train=str(tmp_path / name), validation=str(other), **settings))
        return splits["train"], notes

    return load


def said(row):
    return [(turn.role, turn.text) for turn in row.turns]


def test_alpaca_as_it_comes(load):
    rows, _ = load([ALPACA, {**ALPACA, "input": ""}, {"instruction": "Add.", "output": ["3", "three"]}] * 2, type="instruct")
    assert said(rows[0]) == [("user", "Add.\n\n1 2"), ("assistant", "3")]
    assert said(rows[1]) == [("user", "Add."), ("assistant", "3")]
    assert rows[2].answers == ("3", "three")


def test_columns_by_mapping_and_a_system_prompt(load):
    names = {"instruction": "q", "output": "a", "system": "s"}
    rows, _ = load([{"q": "Add.", "a": "3", "s": "Be brief."}, {"q": "Add.", "a": "3", "s": None}], type="instruct", columns=names, system="Be kind.")
    assert [said(row)[0] for row in rows] == [("system", "Be brief."), ("system", "Be kind.")]
    with pytest.raises(DataError, match=r"a.jsonl:1: no column 'question'; columns there: q, a, s. .* task.columns \(instruct\)"):
        load([{"q": "Add.", "a": "3", "s": ""}], type="instruct", columns={"instruction": "question"})


@pytest.mark.parametrize(
    "row",
    [
        {"messages": TALK},
        {"conversations": SHARED},
        {"conversation": TALK},
        {"messages": [{"role": "User", "content": [{"type": "text", "text": "Hi"}]}, TALK[1]]},
        {"messages": json.dumps(TALK)},
    ],
)
def test_the_shape_of_a_row_tells_its_form(load, row):
    rows, notes = load([row], type="chat")
    assert said(rows[0]) == [("user", "Hi"), ("assistant", "Hello")]
    assert notes == ()


def test_turns_of_a_csv_are_json(load):
    cell = json.dumps(TALK).replace('"', '""')
    rows, _ = load(f'id,messages\n1,"{cell}"\n', name="a.csv", type="chat", validation=[{"messages": TALK}])
    assert said(rows[0]) == [("user", "Hi"), ("assistant", "Hello")]


def test_a_beginning_by_the_assistant_needs_a_system_prompt(load):
    begun = {"conversations": [SHARED[1], *SHARED]}
    rows, notes = load([begun, {"conversations": SHARED}], validation=[{"conversations": SHARED}], type="chat")
    assert (len(rows), notes) == (1, ("1 of 3 rows have no turn before the assistant's first and were left out of the training rows",))
    rows, _ = load([begun], type="chat", system="Greet.")
    assert [turn.role for turn in rows[0].turns] == ["system", "assistant", "user", "assistant"]


def test_what_has_no_answer_is_left_out_of_training_and_counted(load):
    good, silent, only = {"messages": TALK}, {"messages": [TALK[0]]}, {"messages": [*TALK, TALK[0]]}
    empty = {"messages": [TALK[0], {"role": "assistant", "content": " "}]}
    rows, notes = load([good, silent, only, empty], validation=[good], type="chat")
    assert len(rows) == 2
    assert notes == (
        "1 of 5 rows have no turn of the assistant and were left out of the training rows",
        "1 of 5 conversations end with a turn that has no answer, which was left out",
        "1 of 5 rows have a turn without text and were left out of the training rows",
    )
    with pytest.raises(DataError, match=r"v.jsonl:2: no turn of the assistant; every row must have an answer"):
        load([good], validation=[good, silent], type="chat")
    with pytest.raises(DataError, match="none of the 1 rows has an answer"):
        load([{**ALPACA, "output": ""}], validation=[ALPACA], type="instruct")


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ({"role": "narrator", "content": "x"}, r"a.jsonl:1, turn 1: the role 'narrator' is unknown; expected one of system, user, assistant"),
        ({"role": "assistant", "content": None, "tool_calls": [{}]}, r"turn 1 has tool_calls, which this task does not show"),
        ({"role": "user", "content": [{"type": "image"}]}, r"turn 1 says .*image.*; expected a text, or a list of parts of type text"),
        ({"text": "x"}, r"turn 1 is \{'text': 'x'\}; expected an object with role and content, or from and value"),
    ],
)
def test_what_is_no_turn_is_refused_with_its_place(load, turn, expected):
    with pytest.raises(DataError, match=expected):
        load([{"messages": [turn]}], type="chat")


@pytest.mark.parametrize("cell", ["hello", [], 3])
def test_what_are_no_turns_is_refused(load, cell):
    with pytest.raises(DataError, match=r"a.jsonl:1: column 'messages' is .*; expected a list of turns"):
        load([{"messages": cell, "id": 1}], type="chat")
    with pytest.raises(DataError, match=r"no column 'messages'; columns there: talk"):
        load([{"talk": TALK, "id": 1}] * 2, type="chat")


def test_stops_and_extractors_are_checked_in_the_answers(load):
    with pytest.raises(DataError, match=r"a.jsonl:1: the answer '3\\n4' holds '\\n', at which writing ends"):
        load([{**ALPACA, "output": "3\n4"}], type="instruct", stop=["\n"])
    with pytest.raises(DataError, match=r"task.extract = 'last_number' finds nothing"):
        load([{**ALPACA, "output": "three"}], type="instruct", extract="last_number")
