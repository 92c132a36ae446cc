"""The template that writes the turns of a task: the tokenizer's own, a file, or a built-in one, and the record says which."""

import pytest

from loretta_core.config.task import Chat, Instruct, ToyInstruct
from loretta_core.errors import DataError
from loretta_core.tasks.build import build_objective
from loretta_core.tasks.chat.templates import resolve_template

FILES = {"train": "a.jsonl", "validation": "b.jsonl"}
INSTRUCT, CHAT = Instruct(type="instruct", **FILES), Chat(type="chat", **FILES)
MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def test_a_base_model_gets_a_plain_form_for_instructions_and_none_for_conversations(tokenizer):
    found = resolve_template(INSTRUCT, tokenizer)
    assert "the built-in chat template 'plain', because the tokenizer has none (sha256 " in found.note
    assert tokenizer.apply_chat_template(MESSAGES, chat_template=found.text, tokenize=False) == (
        "Be kind.\n\n### Instruction:\nHi\n\n### Response:\nHello</s>\n\n"
    )
    with pytest.raises(DataError, match=r'the tokenizer has no chat template.* set task.chat_template = "chatml"'):
        resolve_template(CHAT, tokenizer)


def test_the_tokenizers_own_template_and_a_file(tokenizer, tmp_path):
    tokenizer.chat_template = "{{ messages[0].content }}</s>"
    assert (
        resolve_template(CHAT, tokenizer).source == resolve_template(ToyInstruct(type="toy_instruct"), tokenizer).source == "the tokenizer's own chat template"
    )
    file = tmp_path / "own.jinja"
    file.write_text("{{ 'own' }}</s>")
    assert resolve_template(CHAT.model_copy(update={"chat_template": str(file)}), tokenizer).text == "{{ 'own' }}</s>"
    with pytest.raises(DataError, match=r"task.chat_template = 'lost.jinja': no readable file .* or one of chatml, plain"):
        resolve_template(CHAT.model_copy(update={"chat_template": "lost.jinja"}), tokenizer)


def test_chatml_ends_turns_with_its_own_token_where_the_model_has_it(tokenizer):
    chatml = CHAT.model_copy(update={"chat_template": "chatml"})
    text = tokenizer.apply_chat_template(MESSAGES, chat_template=resolve_template(chatml, tokenizer).text, tokenize=False)
    assert text.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n")


def test_toy_llama_ends_its_turns_with_a_line_break():
    from loretta_core.config.model import Pretrained
    from loretta_core.models import load_tokenizer

    toy = load_tokenizer(Pretrained(type="pretrained", name="toy-llama"))
    found = resolve_template(CHAT.model_copy(update={"chat_template": "chatml"}), toy)
    assert found.source.endswith("with </s> at the end of the assistant's turns because <|im_end|> is no token of the model")
    assert toy.apply_chat_template(MESSAGES[1:], chat_template=found.text, tokenize=False).startswith("<s><|im_start|>user\nHi")
    found = resolve_template(ToyInstruct(type="toy_instruct"), toy)
    assert toy.apply_chat_template(MESSAGES[1:], chat_template=found.text, tokenize=False) == "<s>Hi Hello\n"
    build_objective(ToyInstruct(type="toy_instruct"), tokenizer=toy, num_labels=1)
    assert toy.chat_template == found.text
