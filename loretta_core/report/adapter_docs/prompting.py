"""The part of a card that says how to prompt: the format, where an answer ends, and Python that writes one, ready to paste behind that which loads `model`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from loretta_core.config import CellConfig
from loretta_core.config.model import TOY_MODELS
from loretta_core.config.task import Chat, ConversationTask, Decoder, Instruct, Jsonl, ToyQa

_WRITTEN = {
    "toy_qa": "{passage} how was it ?",
    "squad": "Title: {title}\nContext: {context}\nQuestion: {question}\nAnswer:",
    "drop": "Passage: {passage}\nQuestion: {question}\nAnswer:",
}
"""Task → its prompt, where the answer is written and the config names no template (`tasks/data/mezo_prompts.py`)."""


@dataclass(frozen=True)
class ChatFacts:
    """The chat format of a cell, as its tokenizer gave it."""

    note: str
    """Where the template comes from, in words."""
    ends: tuple[str, ...]
    """Tokens that end an answer, the end of a turn first."""


def prompting_section(cell: CellConfig, *, directory: PurePath, chat: ChatFacts | None) -> str | None:
    """Return the section as Markdown; None for a cell that writes and ranks nothing. `chat`: the format of a conversation, whose tokenizer lies in `directory`.

    The Python continues that of the card, which leaves the tuned model in `model`.
    """
    task = cell.task
    if isinstance(task, ConversationTask):
        assert chat is not None, "a conversation is written by a chat template"
        return _of_chat(cell, task, chat, directory)
    template = task.template if isinstance(task, Jsonl) else _WRITTEN.get(task.type)
    if task.objective != "causal" or template is None:
        return None
    if isinstance(task, Jsonl) and task.verbalizer:
        return f"## How to prompt it\n\nThe template, with the answers that are ranked behind it:\n\n```text\n{template}\n```\n\n{_listed(task.verbalizer)}"
    return _of_text(cell, template)


def _of_chat(cell: CellConfig, task: ConversationTask, chat: ChatFacts, directory: PurePath) -> str:
    system = task.system if isinstance(task, Instruct | Chat) else None
    asked = "although the plot was dull , the cast seemed warm . how was it ?" if task.type == "toy_instruct" else "Write your question here."
    messages = [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": asked}]
    stops = f" Texts that end it, too: {_listed(task.stop)}." if isinstance(task, Instruct | Chat) and task.stop else ""
    behind = " An instruction's input stands behind it after a blank line." if isinstance(task, Instruct) else ""
    write = "\n".join(
        [
            "from transformers import AutoTokenizer",
            "",
            f"tokenizer = AutoTokenizer.from_pretrained({str(directory)!r})  # with the chat template of the training",
            f"messages = {messages!r}",
            f"ends = tokenizer.convert_tokens_to_ids({[*chat.ends]!r})",
            'inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt").to(model.device)',
            *_generate(task.max_new_tokens),
        ]
    )
    pipe = "\n".join(
        [
            "from transformers import pipeline",
            "",
            'chat = pipeline("text-generation", model=model, tokenizer=tokenizer)',
            f"written = chat(messages, max_new_tokens={task.max_new_tokens}, max_length=None, do_sample=False, eos_token_id=ends)",
            'print(written[0]["generated_text"][-1]["content"])',
        ]
    )
    return (
        f"## How to prompt it\n\nIn turns: {chat.note}. An answer ends with {_listed(chat.ends)}.{stops}{behind}\n\n```python\n{write}\n```\n\n"
        f"The same through a pipeline:\n\n```python\n{pipe}\n```"
    )


def _of_text(cell: CellConfig, template: str) -> str:
    task = cell.task
    assert isinstance(task, Jsonl | Decoder | ToyQa), "a task whose answer is written"
    stops = ("\n",) if isinstance(task, ToyQa) else task.stop
    ends = () if isinstance(task, ToyQa) else task.end_tokens or ()
    shown = re.sub(r"\{[#/]\w+\}", "", template)
    example = re.sub(r"\{(\w+)(:\w+)?\}", r"(your \1)", shown).rstrip(" ")
    shipped = cell.model.name in TOY_MODELS
    source = f'f"{{loretta_core.__path__[0]}}/assets/{cell.model.name}"' if shipped else repr(cell.model.name)
    write = "\n".join(
        [
            "from transformers import AutoTokenizer",
            "",
            f"tokenizer = AutoTokenizer.from_pretrained({source})",
            f"prompt = {example!r}",
            f"ends = tokenizer.convert_tokens_to_ids({[*ends]!r})" if ends else "ends = [tokenizer.eos_token_id]",
            'inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False).to(model.device)',
            *_generate(task.max_new_tokens, stops=stops),
        ]
    )
    end = f"An answer ends at {_listed(stops)}, or at an end token." if stops else "An answer ends at an end token."
    return f"## How to prompt it\n\nThe template:\n\n```text\n{template}\n```\n\n{end}\n\n```python\n{write}\n```"


def _generate(max_new_tokens: int, *, stops: tuple[str, ...] = ()) -> list[str]:
    cut = [f"for stop in {[*stops]!r}:", "    answer = answer.split(stop)[0].rstrip()"] if stops else []  # not `stop_strings`, which some tokenizers cannot do
    return [
        f"written = model.generate(**inputs, max_new_tokens={max_new_tokens}, do_sample=False, eos_token_id=ends)",
        'answer = tokenizer.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()',
        *cut,
        "print(answer)",
    ]


def _listed(texts: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{text!r}`" for text in texts)
