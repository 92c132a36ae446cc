"""Cost of an epoch with our `fit()`, with the Hugging Face Trainer at its best, and with the settings of the authors' script.

    python tests/benchmarks/bench_end_to_end.py [--quick] [--json FILE] [--steps N]

One epoch of 1,000 rows with the lengths of SST-2's training split, batches of 16, a RoBERTa-base shape with random weights, LoRA r = 8 and loretta_adp.

    ours       fit(): batches of rows of similar length, padded to the longest; bf16 base where the CPU has bf16 instructions
    trainer    Trainer + PEFT on the same batches in the same order, padded to the longest; bf16 under the same condition
    authors    Trainer + PEFT, rows in random order, fp32, padded to 128

All three train the same PEFT model. The sides take turns, some steps each (the longer batches of all three are spread alike), and CPU time of the process on
one thread is compared, so that other work on the machine hits all sides; only ratios mean anything. Padding is counted over the whole epoch, exactly.
`--quick` takes 2 layers and few steps.
"""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from results import Result, ratio, write
from torch import nn
from torch.utils.data import Dataset, SequentialSampler
from transformers import PrinterCallback, RobertaConfig, RobertaForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

from loretta_core.adapters.build import apply_method
from loretta_core.config.method import Lora, LorettaAdp, MethodConfig
from loretta_core.config.model import Pretrained
from loretta_core.models import load_tokenizer
from loretta_core.tasks.base import Example
from loretta_core.tasks.collate import Collator, training_batches
from loretta_core.tasks.formats.head import ClassificationHead
from loretta_core.train.checkpoint import FileCheckpointer, ModelState
from loretta_core.train.evaluate import Evaluation
from loretta_core.train.loop import fit
from loretta_core.train.step import back_propagate, first_order_step

ROWS, BATCH, PADDED = 1000, 16, 128
EPOCH = -(-ROWS // BATCH)
TURNS = 4
VOCABULARY = 5000
"""A tenth of RoBERTa's: the embedding is frozen and looked up, so its size costs nothing but the time to draw it."""
LR = 5e-4
METHODS: dict[str, MethodConfig] = {"lora": Lora(type="lora"), "loretta_adp": LorettaAdp(type="loretta_adp")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 layers and few steps: rough ratios")
    parser.add_argument("--steps", type=int, help="steps of each side and method (default: 12; 4 with --quick)")
    parser.add_argument("--json", type=Path, help="write the report as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for one in all_results(steps=options.steps or (4 if options.quick else 12), layers=2 if options.quick else 12):
        print(line(one), flush=True)
        results.append(one)
    if options.json:
        write(options.json, results, quick=options.quick, bf16_instructions=has_bf16())


def all_results(*, steps: int, layers: int) -> Iterator[Result]:
    rows = sst2_like_rows()
    yield padding("tokens computed per useful token, ours", epoch_of(rows), at_most=1.15)
    yield padding("tokens computed per useful token, padded to 128", epoch_of(rows), width=PADDED)
    for name, method in METHODS.items():
        ours, trainer, authors = times(rows, method, steps=steps, layers=layers)
        yield ratio(f"{name}: Trainer + PEFT at its best, over ours", ours, trainer, at_least=1.0)
        target = 8.0 if has_bf16() else None
        note = "" if has_bf16() else "both sides in fp32, for this CPU has no bf16 instructions; the target of 8 is for one that has"
        yield ratio(f"{name}: the authors' settings, over ours", ours, authors, at_least=target, note=note)


def times(rows: Sequence[Example], method: MethodConfig, *, steps: int, layers: int) -> tuple[float, float, float]:
    """Mean seconds per step of the three sides."""
    chosen = spread(epoch_of(rows), steps)
    bf16 = has_bf16()
    models = [build(method, layers=layers, dtype=torch.bfloat16 if bf16 and side == 0 else torch.float32) for side in range(3)]
    sides: list[Callable[[Sequence[Sequence[Example]]], float]] = [
        lambda batches: ours(models[0], batches),
        lambda batches: theirs(models[1], batches, width=None, bf16=bf16),
        lambda batches: theirs(models[2], batches, width=PADDED, bf16=False),
    ]
    turns = min(TURNS, steps)
    seconds = [0.0, 0.0, 0.0]
    for turn in range(-1, turns):  # the first one warms up
        for side in (0, 1, 2) if turn % 2 else (2, 1, 0):
            elapsed = sides[side](chosen[max(turn, 0) :: turns])
            seconds[side] += elapsed if turn >= 0 else 0.0
    return seconds[0] / steps, seconds[1] / steps, seconds[2] / steps


def spread(batches: Sequence[list[Example]], count: int) -> list[list[Example]]:
    """`count` batches of an epoch whose lengths stand for all of them: evenly spaced by length."""
    ordered = sorted(batches, key=lambda batch: max(len(example.inputs["input_ids"]) for example in batch))
    return [ordered[round((place + 0.5) * len(ordered) / count - 0.5)] for place in range(count)]


def ours(model: nn.Module, batches: Sequence[Sequence[Example]]) -> float:
    """CPU seconds of `fit()` on the batches, its evaluations not counted."""
    tokenizer = toy_tokenizer()
    objective, collate = ClassificationHead(tokenizer, max_length=PADDED), Collator(tokenizer, device=torch.device("cpu"))
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    optimizer = torch.optim.AdamW(trainable.values(), lr=LR, weight_decay=0.0)
    model.train()
    marks: list[float] = []

    def stream(first_step: int) -> Iterator[list[Any]]:
        marks.append(time.process_time())
        for batch in batches[first_step:]:
            yield [collate(batch)]

    def evaluate() -> Evaluation:
        marks.append(time.process_time())
        return Evaluation(0.0, 0.0, ())

    with tempfile.TemporaryDirectory() as directory:
        fit(
            step=partial(first_order_step, backward=partial(back_propagate, loss_fn=partial(objective.loss, model)), optimizer=optimizer, max_grad_norm=1.0),
            batches=stream,
            total_steps=len(batches),
            set_lr=lambda step: LR,
            evaluate=evaluate,
            eval_every=len(batches),
            state=ModelState(trainable, optimizer),
            checkpointer=FileCheckpointer(Path(directory) / "checkpoint.safetensors", identity="bench"),
        )
    return marks[-1] - marks[1]  # evaluation before training, first batch, evaluation after the last step


class Rows(Dataset[dict[str, Any]]):
    """The batches' rows one after the other."""

    def __init__(self, batches: Sequence[Sequence[Example]]) -> None:
        self._rows = list(itertools.chain.from_iterable(batches))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self._rows[index].inputs, "labels": self._rows[index].label}


class InOrder(Trainer):
    """Takes the rows as they come, so that it trains on our batches."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


class Clock(TrainerCallback):
    """CPU time between the begin and the end of training."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.started = time.process_time()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds = time.process_time() - self.started


def theirs(model: nn.Module, batches: Sequence[Sequence[Example]], *, width: int | None, bf16: bool) -> float:
    """CPU seconds of Trainer.train() on the batches, padded to the longest or to `width`."""
    tokenizer, clock = toy_tokenizer(), Clock()

    def collate(items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        labels = torch.tensor([item["labels"] for item in items])
        sequences = [{name: value for name, value in item.items() if name != "labels"} for item in items]
        padded = tokenizer.pad(sequences, padding="max_length" if width else True, max_length=width, return_tensors="pt")
        return {**padded, "labels": labels}

    with tempfile.TemporaryDirectory() as directory:
        arguments = TrainingArguments(
            output_dir=directory,
            per_device_train_batch_size=BATCH,
            max_steps=len(batches),
            learning_rate=LR,
            lr_scheduler_type="constant",
            bf16=bf16,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
        )
        trainer = InOrder(model, arguments, data_collator=collate, train_dataset=Rows(batches), callbacks=[clock])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return clock.seconds


def build(method: MethodConfig, *, layers: int, dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    config = RobertaConfig(vocab_size=VOCABULARY, num_hidden_layers=layers, max_position_embeddings=514, pad_token_id=0, num_labels=2)
    return apply_method(RobertaForSequenceClassification(config).to(dtype).eval(), method=method, task_type="SEQ_CLS")


def sst2_like_rows() -> list[Example]:
    """Token counts of SST-2's training split: phrases of film reviews, log-normal, 3 to 66 with a mean of 13."""
    rng = random.Random(0)
    lengths = [min(66, max(3, round(rng.lognormvariate(2.35, 0.65)) + 2)) for _ in range(ROWS)]
    return [_row(rng, length, index % 2) for index, length in enumerate(lengths)]


def _row(rng: random.Random, length: int, label: int) -> Example:
    return Example({"input_ids": [rng.randrange(5, VOCABULARY) for _ in range(length)], "attention_mask": [1] * length}, label)


def epoch_of(rows: Sequence[Example]) -> list[list[Example]]:
    return list(itertools.islice(training_batches(rows, batch_size=BATCH, seed=0), EPOCH))


def toy_tokenizer() -> Any:
    """Any tokenizer with padding token 0: rows are token ids already."""
    return load_tokenizer(Pretrained(type="pretrained", name="toy-bert"))


def has_bf16() -> bool:
    """Return True if the CPU multiplies bf16 in hardware; without, bf16 is slower than fp32."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and any(flag in cpuinfo.read_text() for flag in ("avx512_bf16", "amx_bf16"))


def padding(name: str, batches: Sequence[Sequence[Example]], *, width: int | None = None, at_most: float | None = None) -> Result:
    """Tokens in the batches over tokens in the rows."""
    lengths = [[len(example.inputs["input_ids"]) for example in batch] for batch in batches]
    computed = sum((width or max(batch)) * len(batch) for batch in lengths)
    useful = sum(map(sum, lengths))
    met = None if at_most is None else computed / useful <= at_most
    return Result(name, computed / useful, "tokens", computed, useful, f"<= {at_most:g}" if at_most else "", met)


def line(one: Result) -> str:
    seconds = f"  [{one.ours:.3f} / {one.other:.3f} s per step]" if one.unit == "times" else ""
    return f"{one.value:8.3f} {one.unit:7s} {one.name}{seconds}{one.verdict}{'  ' + one.note if one.note else ''}"


if __name__ == "__main__":
    main()
