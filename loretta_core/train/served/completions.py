"""A client of an inference server: log-probabilities of given tokens under LoRA adapters that are loaded and unloaded while it runs.

    POST /v1/completions             {model, prompt: [[token, …], …], max_tokens: 1, prompt_logprobs: 0}        one log-probability for each token but the first
    POST /v1/load_lora_adapter       {lora_name, lora_path}
    POST /v1/unload_lora_adapter     {lora_name}

The OpenAI-compatible API with vLLM's additions (`prompt_logprobs`, dynamic LoRA; its server needs VLLM_ALLOW_RUNTIME_LORA_UPDATING=1). A server that does not
answer, or answers 429 or 5xx, is asked again with growing pauses; what it refuses is not.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loretta_core.errors import CellFailed

FIRST_PAUSE_S = 0.5
"""Before the second try; it doubles with each further one."""
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which asking again may help."""


@dataclass(frozen=True)
class CompletionsServer:
    """An inference server, as far as it gives losses.

    Every method raises CellFailed (kind "infrastructure") in one line: the server was away for all tries, or what it said in refusing.
    """

    url: str
    """Without the path, e.g. http://127.0.0.1:8000."""
    token: str | None = None
    """Sent as a bearer token."""
    timeout_s: float = 600.0
    """Of one request."""
    retries: int = 5
    """Further tries where the server is away."""

    @property
    def without_retries(self) -> CompletionsServer:
        """The same server, asked once."""
        return replace(self, retries=0)

    def load(self, name: str, path: Path) -> None:
        """Load the adapter in a directory that the server can read too."""
        self._post("load_lora_adapter", {"lora_name": name, "lora_path": str(path)}, done_before="already been loaded")

    def unload(self, name: str) -> None:
        """Let the server forget an adapter."""
        self._post("unload_lora_adapter", {"lora_name": name}, done_before="cannot be found")

    def log_probabilities(self, model: str, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return, for each sequence, the log-probability of every token but the first, in nats. `model`: the name of an adapter, or of the base."""
        body = {"model": model, "prompt": [list(tokens) for tokens in sequences], "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}
        answer = json.loads(self._post("completions", body))
        choices = sorted(answer["choices"], key=lambda choice: choice["index"])
        if len(choices) != len(sequences) or any(choice.get("prompt_logprobs") is None for choice in choices):
            raise CellFailed(f"{self.url} gave no prompt_logprobs for {len(sequences)} sequences: it must be a server with vLLM's API", kind="infrastructure")
        return [_of_tokens(choice["prompt_logprobs"], tokens) for choice, tokens in zip(choices, sequences, strict=True)]

    def _post(self, path: str, body: Mapping[str, Any], *, done_before: str | None = None) -> str:
        """Post until an answer comes. `done_before`: what the server says when an earlier try, whose answer was lost, has done it."""
        said = ""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
            try:
                with urllib.request.urlopen(self._request(path, body), timeout=self.timeout_s) as response:
                    return response.read().decode()
            except urllib.error.HTTPError as error:
                said = _message(error)
                if attempt and done_before is not None and done_before in said:
                    return said
                if error.code not in _AGAIN:
                    raise CellFailed(f"{self.url} refused {path}: {error.code} {said}", kind="infrastructure") from None
            except (OSError, http.client.HTTPException) as error:
                said = str(getattr(error, "reason", None) or error or type(error).__name__)
        raise CellFailed(f"{self.url} did not answer {path} in {self.retries + 1} tries: {said}; is the server up?", kind="infrastructure")

    def _request(self, path: str, body: Mapping[str, Any]) -> urllib.request.Request:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        return urllib.request.Request(f"{self.url.rstrip('/')}/v1/{path}", data=json.dumps(body).encode(), headers=headers)


def _of_tokens(positions: Sequence[Mapping[str, Any] | None], tokens: Sequence[int]) -> list[float]:
    """Return the log-probabilities of the tokens that stand at each position; a server may list likelier ones beside them."""
    return [float(one[str(token)]["logprob"]) for one, token in zip(positions[1:], tokens[1:], strict=True) if one is not None]


def _message(error: urllib.error.HTTPError) -> str:
    """Return what an error says: vLLM's {"error": {"message": …}}, else the text."""
    text = error.read().decode(errors="replace")
    try:
        found = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return text[:300] or str(error.reason)
    return str(found.get("message", found)) if isinstance(found, Mapping) else str(found)
