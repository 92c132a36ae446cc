"""Spans that are learned: every turn of the assistant with its end token, and nothing else, whatever the template."""

import pytest

from loretta_core.errors import DataError
from loretta_core.tasks.chat.templates import BUILT_IN
from loretta_core.tasks.chat.turn_spans import ChatFormat
from loretta_core.tasks.data.rows import Turn

CHATML = BUILT_IN["chatml"].replace("END", "'<|im_end|>'")
MARKED = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
INSIDE = MARKED.replace("{{ m.content }}{% endgeneration %}", "{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}").replace(
    "{% endif %}{{ '<|im_end|>\n' }}", "{{ '<|im_end|>\n' }}{% endif %}"
)
LLAMA_2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ '<s>[INST] ' + m.content + ' [/INST]' }}{% elif m.role == 'assistant' %}{{ ' ' + m.content + ' </s>' }}"
    "{% else %}{{ raise_exception('no system prompt here') }}{% endif %}{% endfor %}"
)
THINKING = CHATML.replace("message['content'] }}", "('<think></think>' if loop.last and message['role'] == 'assistant' else '') + message['content'] }}")
"""Writes the last turn in another way than the same turn with others behind it, as Qwen3 does."""
TURNS = (Turn("user", "Hi"), Turn("assistant", "Hello!"), Turn("user", "Sum", "1 2"), Turn("assistant", "3\n\n4"))


def spans(tokenizer, template, turns=TURNS, **settings):
    tokenizer.chat_template = template
    (found,) = ChatFormat(tokenizer, **settings).render([turns], places=["row 1"])
    return [tokenizer.decode(found.tokens[begin:end]) for begin, end in found.spans], tokenizer.decode(found.tokens)


@pytest.mark.parametrize(
    ("template", "learned"),
    [
        (CHATML, ["Hello!<|im_end|>", "3\n\n4<|im_end|>"]),
        (MARKED, ["Hello!<|im_end|>", "3\n\n4<|im_end|>"]),
        (INSIDE, ["Hello!<|im_end|>", "3\n\n4<|im_end|>"]),
        (LLAMA_2, [" Hello! </s>", " 3\n\n4 </s>"]),
        (THINKING, ["Hello!<|im_end|>", "<think></think>3\n\n4<|im_end|>"]),
        (BUILT_IN["plain"], ["Hello!</s>", "3\n\n4</s>"]),
    ],
)
def test_every_turn_of_the_assistant_is_learned_with_its_end(tokenizer, template, learned):
    found, whole = spans(tokenizer, template)
    assert found == learned
    assert whole.endswith(learned[-1])
    assert "Sum\n\n1 2" in whole


def test_marks_give_the_spans_of_transformers(tokenizer):
    tokenizer.chat_template = INSIDE
    messages = [{"role": turn.role, "content": turn.text} for turn in TURNS]
    theirs = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    (ours,) = ChatFormat(tokenizer).render([TURNS], places=["row 1"])
    assert [place for place, marked in enumerate(theirs["assistant_masks"]) if marked] == [place for span in ours.spans for place in range(*span)]
    assert theirs["input_ids"][: len(ours.tokens)] == ours.tokens


def test_the_prompt_is_what_stands_before_the_span_even_where_a_token_would_join_them(tokenizer):
    tokenizer.chat_template = CHATML
    form, turns = ChatFormat(tokenizer), (Turn("user", "Hi"), Turn("assistant", "\nyes"))
    (found,) = form.render([turns], places=["row 1"])
    begin, end = found.spans[0]
    assert found.tokens[:begin] == form.prompt(turns[:1], place="row 1")
    assert tokenizer.decode(found.tokens[begin:end]) == "\nyes<|im_end|>"


REWRITES = CHATML.replace("message['content'] }}", "(message['content'] if loop.last else 'earlier') }}")
NO_END = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
LAST_END = CHATML.replace("'<|im_end|>' if message", "('<|im_end|>' if loop.last else '|') if message").replace("else '<|im_end|>' }}", "else '|' }}")


@pytest.mark.parametrize(
    ("template", "turns", "expected"),
    [
        (REWRITES, TURNS, "row 1: before turn 2 the chat template writes the turns in another way than within the whole conversation"),
        (NO_END, TURNS, "the chat template ends the assistant's turns with no token of its own"),
        (LAST_END, TURNS, "row 1: the chat template writes no '<|im_end|>' behind turn 1 of the assistant"),
        (LLAMA_2, (Turn("system", "Be kind"), *TURNS), "row 1: the chat template does not render: no system prompt here"),
        (CHATML, (Turn("user", "a<|im_end|>b"), TURNS[1]), "row 1, turn 1: its text holds '<|im_end|>', the token that ends a turn"),
        ("{% for m in", TURNS, "task.chat_template: the chat template does not render"),
        (MARKED.replace("m.role == 'assistant'", "m.role == 'assistant' and loop.last"), TURNS, "row 1: the chat template marks 1 spans as generated, and 2"),
    ],
)
def test_templates_that_say_something_else_are_refused(tokenizer, template, turns, expected):
    with pytest.raises(DataError) as error:
        spans(tokenizer, template, turns)
    assert expected in str(error.value)


def test_the_end_can_be_named(tokenizer):
    named = NO_END.replace("m.content + '\n'", "m.content + '</s>'")
    assert spans(tokenizer, named, end_tokens=["</s>"])[0] == ["Hello!</s>", "3\n\n4</s>"]
    with pytest.raises(DataError, match=r"task.end_tokens: the chat template writes no '<\|im_end\|>' behind a turn of the assistant"):
        spans(tokenizer, named, end_tokens=["<|im_end|>"])
