"""Servers for the tests: one that gives the answers of a script, and a real one of transformers and PEFT. Their answers have the form of vllm_0_32.json."""

import json
import threading
import warnings
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
from peft import PeftModel

RECORDED = json.loads((Path(__file__).parent / "vllm_0_32.json").read_text(encoding="utf-8"))
"""What a vLLM 0.32.0 on the CPU was asked and answered."""


@contextmanager
def serving(answer):
    """Serve `answer(path, body, headers) -> (status, JSON value or text)` on a free port; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, value = answer(self.path.removeprefix("/v1/"), body, self.headers)
            data = (value if isinstance(value, str) else json.dumps(value)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class LoraServer:
    """An inference server of one base model and LoRA adapters that come and go."""

    def __init__(self, base):
        self.base, self.lock, self.served = base.eval(), threading.Lock(), []
        self.model: PeftModel | None = None

    @property
    def adapters(self):
        return [*self.model.peft_config] if self.model is not None else []

    def __call__(self, path, body, headers):
        with self.lock:
            return {"completions": self.complete, "load_lora_adapter": self.load, "unload_lora_adapter": self.unload}[path](**body)

    def load(self, lora_name, lora_path):
        self.served.append(lora_name)
        if self.model is None:
            self.model = PeftModel.from_pretrained(self.base, lora_path, adapter_name=lora_name)
        else:
            self.model.load_adapter(lora_path, adapter_name=lora_name)
        return 200, f"Success: LoRA adapter '{lora_name}' added successfully."

    def unload(self, lora_name):
        if lora_name not in self.adapters:
            return RECORDED["unload_again"]["status"], RECORDED["unload_again"]["response"]
        with warnings.catch_warnings(action="ignore"):  # PEFT tells which adapter is active now
            self.model.delete_adapter(lora_name)
        return 200, f"Success: LoRA adapter '{lora_name}' removed successfully."

    @torch.no_grad()
    def complete(self, model, prompt, max_tokens, temperature, prompt_logprobs):
        assert (max_tokens, temperature, prompt_logprobs) == (1, 0.0, 0)
        self.model.set_adapter(model)
        choices = []
        for index, tokens in enumerate(prompt):
            log_p_LV = self.model(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)
            places = [{str(token): {"logprob": log_p_LV[at, token].item(), "rank": 1, "decoded_token": ""}} for at, token in enumerate(tokens[1:])]
            choices.append({"index": index, "text": "", "prompt_logprobs": [None, *places]})
        return 200, {"object": "text_completion", "model": model, "choices": choices}
