"""Chat templates: the one that writes the turns of a task, from the tokenizer, a Jinja file, or built in.

    chatml    <|im_start|>user … <|im_end|>      where <|im_end|> is no token of the model, its end-of-text token ends the assistant's turns
    plain     ### Instruction: … ### Response: …
    bare      the texts one after the other (the generated tasks: toy-llama knows no headings, and ends its answers with a line break)

A template becomes the tokenizer's own, so that what is exported renders as it was trained. The built-in ones begin with the beginning-of-text token where the
tokenizer puts one before every text.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from loretta_core.config.task import Chat, ConversationTask, Instruct
from loretta_core.config.tasks.conversations import BUILT_IN_TEMPLATES
from loretta_core.errors import DataError
from loretta_core.tasks.formats.candidates import first_tokens

CHATML_END = "<|im_end|>"
LINE_BREAK = "\n"

BUILT_IN = {
    "chatml": (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] }}"
        "{{ END if message['role'] == 'assistant' else '<|im_end|>' }}{{ '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "plain": (
        "{% for message in messages %}{% if message['role'] == 'assistant' %}{{ '### Response:\\n' + message['content'] + eos_token + '\\n\\n' }}"
        "{% elif message['role'] == 'user' %}{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}"
        "{% else %}{{ message['content'] + '\\n\\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"
    ),
    "bare": (
        "{% for message in messages %}{{ message['content'] }}{{ END if message['role'] == 'assistant' else '' }}"
        "{{ '' if loop.last and not add_generation_prompt else ' ' }}{% endfor %}"
    ),
}
"""name → Jinja; END stands for the token that ends the assistant's turns."""


@dataclass(frozen=True)
class ChatTemplate:
    """A Jinja template, and where it comes from in words."""

    text: str
    source: str
    end: str | None = None
    """The token at the end of the assistant's turns, where the tokenizer does not list it as special."""

    @property
    def note(self) -> str:
        """The sentence of a record about it."""
        return f"turns are written with {self.source} (sha256 {hashlib.sha256(self.text.encode()).hexdigest()[:12]})"


def template_text(task: ConversationTask) -> str | None:
    """Return the text of the file that a task names as its chat template; None if it names none. Raises DataError if it cannot be read."""
    name = task.chat_template if isinstance(task, Chat | Instruct) else None
    if name is None or name in BUILT_IN_TEMPLATES:
        return None
    try:
        return Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"task.chat_template = {name!r}: no readable file ({error}); expected a Jinja file (paths are relative to the directory the sweep is started in), "
            f"or one of {', '.join(BUILT_IN_TEMPLATES)}"
        ) from None


def resolve_template(task: ConversationTask, tokenizer: PreTrainedTokenizerBase) -> ChatTemplate:
    """Return the template of a task with a tokenizer. Raises DataError where a conversation has none."""
    name = task.chat_template if isinstance(task, Chat | Instruct) else None
    if (text := template_text(task)) is not None:
        return ChatTemplate(text, f"the chat template in {name}")
    if name is not None:
        return ChatTemplate(_built_in(name, tokenizer), f"the built-in chat template {name!r}{_end_note(name, tokenizer)}")
    if tokenizer.chat_template is not None:
        return ChatTemplate(tokenizer.get_chat_template(), "the tokenizer's own chat template")
    if isinstance(task, Chat):
        raise DataError(
            "the tokenizer has no chat template, as those of base models: set task.chat_template = "
            f'"chatml" (built in: {", ".join(BUILT_IN_TEMPLATES)}) or to a Jinja file, or use the model\'s instruct version'
        )
    fallback = "plain" if isinstance(task, Instruct) else "bare"
    end = LINE_BREAK if fallback == "bare" and LINE_BREAK in tokenizer.get_vocab() else None
    return ChatTemplate(_built_in(fallback, tokenizer, end=end), f"the built-in chat template {fallback!r}, because the tokenizer has none", end)


def _built_in(name: str, tokenizer: PreTrainedTokenizerBase, *, end: str | None = None) -> str:
    if tokenizer.eos_token is None:
        raise DataError("the tokenizer has no end-of-text token, so that no end of an answer could be learned; write a template of its own for it")
    start = "{{ bos_token }}" if first_tokens(tokenizer) else ""
    own = CHATML_END if name == "chatml" and _knows_chatml(tokenizer) else end
    return start + BUILT_IN[name].replace("END", "eos_token" if own is None else repr(own))


def _end_note(name: str, tokenizer: PreTrainedTokenizerBase) -> str:
    missing = name == "chatml" and not _knows_chatml(tokenizer)
    return f", with {tokenizer.eos_token} at the end of the assistant's turns because {CHATML_END} is no token of the model" if missing else ""


def _knows_chatml(tokenizer: PreTrainedTokenizerBase) -> bool:
    return CHATML_END in tokenizer.get_vocab()
