"""Conversations as examples: what is learned, what is cut where, what is written."""

import pytest

from loretta_core.errors import DataError
from loretta_core.tasks.chat.conversation import Conversation
from loretta_core.tasks.chat.templates import BUILT_IN
from loretta_core.tasks.data.conversations.load import conversation_row
from loretta_core.tasks.data.rows import Turn

SHORT = "{% for m in messages %}{{ m.role[0] + ':' + m.content + '</s>' }}{% endfor %}{% if add_generation_prompt %}{{ 'a:' }}{% endif %}"


def objective(tokenizer, *, template=SHORT, **settings):
    tokenizer.chat_template = template
    return Conversation(tokenizer, **{"max_length": 64, "max_new_tokens": 12, **settings})


def row(*turns, answers=None):
    found = [Turn(*turn) for turn in turns]
    return conversation_row(found, answers=answers or [found[-1].content], place="f.jsonl:3")


def learned(tokenizer, example):
    (choice,) = example.choices
    return tokenizer.decode([choice.tokens[place] for place in choice.learned])


MANY = (("system", "S"), ("user", "one"), ("assistant", "1"), ("user", "two"), ("assistant", "2"))


def test_all_turns_of_the_assistant_are_learned_and_the_last_is_written(tokenizer):
    (example,) = objective(tokenizer).encode([row(*MANY)])
    assert learned(tokenizer, example) == "1</s>2</s>"
    assert tokenizer.decode(example.prompt) == "s:S</s>u:one</s>a:1</s>u:two</s>a:"
    assert example.reference == ("2",)
    assert not example.cut
    assert objective(tokenizer).encode([row(*MANY)], training=True)[0].prompt == ()


@pytest.mark.parametrize(
    ("length", "whole"),
    [(28, "s:S</s>u:one</s>a:1</s>u:two</s>a:2</s>"), (16, "s:S</s>u:two</s>a:2</s>"), (12, "s:S</s>u:o</s>a:2</s>")],
)
def test_the_oldest_turns_go_first_then_the_beginning_of_the_question(tokenizer, length, whole):
    (example,) = objective(tokenizer, max_length=length, max_new_tokens=2).encode([row(*MANY)], training=True)
    assert tokenizer.decode(example.choices[0].tokens) == whole
    assert example.cut == (length < 28)
    assert learned(tokenizer, example).endswith("2</s>")


def test_an_input_is_cut_from_its_end_before_the_instruction(tokenizer):
    asked = row(("user", "Sum", "1 2 3 4 5 6"), ("assistant", "21"))
    (example,) = objective(tokenizer, max_length=20, max_new_tokens=4).encode([asked], training=True)
    assert tokenizer.decode(example.choices[0].tokens) == "u:Sum\n\n1 2 3 4</s>a:21</s>"
    (example,) = objective(tokenizer, max_length=20, max_new_tokens=10).encode([asked])
    assert tokenizer.decode(example.prompt) == "u:Sum\n\n1</s>a:"
    assert example.cut


def test_an_answer_is_never_cut(tokenizer):
    with pytest.raises(DataError, match=r"f.jsonl:3: the answer of 31 tokens does not fit into max_length = 20 .* needs task.max_length = 37"):
        objective(tokenizer, max_length=20).encode([row(("user", "q"), ("assistant", "a" * 30))])
    with pytest.raises(DataError, match=r"task.max_new_tokens = 17 leaves 3 tokens of task.max_length = 20 for the question"):
        objective(tokenizer, max_length=20, max_new_tokens=17).encode([row(("user", "q"), ("assistant", "a"))])
    with pytest.raises(DataError, match=r"1 of 1 references are longer than task.max_new_tokens = 2 tokens"):
        objective(tokenizer, max_new_tokens=2).encode([row(("user", "q"), ("assistant", "aaaa"))])


def test_several_turns_train_on_the_mean_over_all_their_tokens(tokenizer):
    import torch
    from torch.nn import functional as F
    from transformers import LlamaConfig, LlamaForCausalLM

    from loretta_core.tasks.collate import Collator

    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16))
    asked = objective(tokenizer, template=BUILT_IN["plain"], max_length=128)
    examples = asked.encode([row(*MANY), row(("user", "q"), ("assistant", "a"))], training=True)
    losses = []
    for example in examples:
        tokens, places = torch.tensor(example.choices[0].tokens), list(example.choices[0].learned)
        logits = model(input_ids=tokens[None]).logits[0]
        losses.append(F.cross_entropy(logits[[place - 1 for place in places]], tokens[places]))
    batch = Collator(tokenizer, device=torch.device("cpu"))(examples)
    assert asked.loss(model, batch).item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)
