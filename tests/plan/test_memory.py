"""Predicted bytes against live tensor bytes, counted by a dispatch mode: within 10 %."""

import json
from pathlib import Path

import pytest
import torch

from loretta_core.config import CellConfig, cell_from_overrides
from loretta_core.plan.advise import size, try_engine
from loretta_core.plan.devices import Devices, this_cpu
from loretta_core.train.build import build_run
from tests.plan.live import Live

SMALL = ["model=toy-bert", "task=toy_sentiment", "task.train_rows=64", "task.validation_rows=40", "task.test_rows=70", "trainer.steps=4"]


def test_live_bytes_are_counted_and_struck_off():
    with Live() as live:
        kept = torch.zeros(100)
        view = kept[:50]
        gone = torch.zeros(1000)
        assert live.now == 4400
        del gone
        assert (live.now, live.peak) == (400, 4400)
    del view


def measured(cell: CellConfig) -> tuple[int, int, int, int]:
    """Peak live bytes of an evaluation, three steps and an evaluation; longest rows; trained parameters."""
    with Live() as live:
        run = build_run(cell)
        live.note([*run.model.parameters(), *run.model.buffers()])
        live.reset_peak()
        run.evaluate("test")
        best, batches = run.learner.state.copy_trainable(), run.batches(0)
        tokens = 0
        for step in range(3):
            run.set_lr(step)
            batch = next(batches)
            tokens = max(tokens, *(piece.inputs["input_ids"].shape[1] for piece in batch))
            run.learner.step(batch)
        run.evaluate("test")
    assert best
    return live.peak, tokens, max(len(example.inputs["input_ids"]) for example in run.examples["test"]), run.trainable_params


def ratio(cell: CellConfig) -> float:
    """Predicted over measured."""
    peak, tokens, evaluation_tokens, trainable = measured(cell)
    sized = size(cell, tokens=tokens, evaluation_tokens=evaluation_tokens)
    assert sized is not None
    assert sized.shapes.trainable == trainable
    return try_engine(sized, cell.engine, Devices(this_cpu())).memory.peak / peak


@pytest.mark.integration
@pytest.mark.parametrize("trainer", ["adam", "zo_sgd"])
@pytest.mark.parametrize("method", ["ft", "lora", "loretta_adp", "loretta_rep", "adapters"])
def test_toy_bert(method, trainer):
    assert ratio(cell_from_overrides([*SMALL, f"method={method}", f"trainer={trainer}"])) == pytest.approx(1, abs=0.1)


@pytest.mark.integration
@pytest.mark.parametrize("precision", ["bf16", "mixed"])
def test_toy_bert_in_bf16(precision):
    assert ratio(cell_from_overrides([*SMALL, "method=ft", "trainer=adam", f"precision={precision}"])) == pytest.approx(1, abs=0.1)


def shape(directory: Path, name: str) -> Path:
    """A random model of a shape, with a tokenizer of its own, on disk."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

    words = ["<pad>", "<eos>", "<unk>", "<mask>", *(f"w{index}" for index in range(60))]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>", "mask_token": "<mask>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(directory)
    roberta = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 0}
    large = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    llama = {"pad_token_id": 0, "vocab_size": 8000, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "num_attention_heads": 8}
    one_b = {"vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5504, "num_hidden_layers": 20, "num_attention_heads": 16}
    makers = {
        "roberta-base": lambda: RobertaForMaskedLM(RobertaConfig(**roberta)),
        "roberta-large": lambda: RobertaForMaskedLM(RobertaConfig(**roberta, **large)),
        "llama-small": lambda: LlamaForCausalLM(LlamaConfig(**llama)),
        "llama-grouped": lambda: LlamaForCausalLM(LlamaConfig(**llama, num_key_value_heads=2)),
        "llama-1b": lambda: LlamaForCausalLM(LlamaConfig(**{**llama, **one_b})),
    }
    torch.manual_seed(0)
    makers[name]().save_pretrained(directory)
    return directory


def rows(directory: Path) -> Path:
    """Texts of thirty words."""
    path = directory / "rows.jsonl"
    generator = torch.Generator().manual_seed(0)
    texts = [" ".join(f"w{index}" for index in torch.randint(0, 60, (30,), generator=generator).tolist()) for _ in range(80)]
    path.write_text("\n".join(json.dumps({"text": text, "label": ("bad", "good")[number % 2]}) for number, text in enumerate(texts)))
    return path


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> str:
    path = rows(tmp_path_factory.mktemp("rows"))
    return f'{{type="jsonl", train="{path}", validation="{path}", text=["text"], labels=["bad", "good"]}}'


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "roberta-base",
        "llama-small",
        "llama-grouped",
    ],
)
def test_larger_shapes(name, task, tmp_path):
    model = shape(tmp_path, name)
    for method, trainer in (("ft", "adam"), ("lora", "adam"), ("loretta_adp", "adam"), ("loretta_adp", "zo_sgd")):
        cell = cell_from_overrides([f"model={model}", f"task={task}", "trainer.steps=4", f"method={method}", f"trainer={trainer}", "batch_size=8"])
        assert ratio(cell) == pytest.approx(1, abs=0.1), (name, method, trainer)
