"""The library without Ray: a LoRETTA adapter in plain Transformers and PEFT, trained with gradients and then with forward passes only.

python -m jobs.examples.library
"""

from pathlib import Path

import torch
from datasets import Dataset
from peft import PeftModel, get_peft_model
from transformers import AutoModelForMaskedLM, DataCollatorForTokenClassification, PreTrainedTokenizerFast, Trainer, TrainingArguments, set_seed

import loretta_core
from loretta_core import ZOSGD, LorettaAdpConfig, ZOTrainer, load_adapter
from loretta_core.tasks.data.toy import generate_sentiment

BASE = Path(loretta_core.__file__).parent / "assets" / "toy-bert"  # or the path of any checkpoint with a masked-LM head
FOLDER = "outputs/examples/library"
TOKENIZER = PreTrainedTokenizerFast.from_pretrained(BASE)
COLLATOR = DataCollatorForTokenClassification(TOKENIZER)
ANSWERS = torch.tensor(TOKENIZER.convert_tokens_to_ids(["terrible", "great"]))


def encoded(text: str, label: int) -> dict[str, list[int]]:
    """Return a prompt whose masked word is the answer; the loss is computed there alone."""
    row = TOKENIZER(f"{text} it was {TOKENIZER.mask_token} .")
    return {**row, "labels": [int(ANSWERS[label]) if token == TOKENIZER.mask_token_id else -100 for token in row["input_ids"]]}


@torch.inference_mode()
def accuracy(model: torch.nn.Module, rows: list[dict[str, list[int]]]) -> float:
    """Return the share of rows whose right answer is more likely than the wrong one."""
    batch = COLLATOR(rows)
    masked = batch["labels"] != -100
    logits = model.eval()(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[masked]
    return (ANSWERS[logits[:, ANSWERS].argmax(-1)] == batch["labels"][masked]).float().mean().item()


def trained(rows: list[dict[str, list[int]]], *, trainer: type[Trainer], optimizer: tuple[type, dict[str, float]], steps: int) -> PeftModel:
    """Return an adapted model after training. First and zeroth order differ in the trainer class and the optimizer, in nothing else."""
    set_seed(0)
    model = get_peft_model(AutoModelForMaskedLM.from_pretrained(BASE), LorettaAdpConfig(tensor_rank=5))
    arguments = TrainingArguments(FOLDER, per_device_train_batch_size=16, max_steps=steps, report_to=[], disable_tqdm=True, use_cpu=True, save_strategy="no")
    trainer(model=model, args=arguments, train_dataset=Dataset.from_list(rows), data_collator=COLLATOR, optimizer_cls_and_kwargs=optimizer).train()
    assert isinstance(model, PeftModel)
    return model


if __name__ == "__main__":
    splits = generate_sentiment(rows_per_split={"train": 1000, "test": 300}, seed=0)
    train, test = ([encoded(row["text"], row["label"]) for row in splits[name]] for name in ("train", "test"))
    print(f"before training: {accuracy(AutoModelForMaskedLM.from_pretrained(BASE), test):.3f}")
    with_gradients = trained(train, trainer=Trainer, optimizer=(torch.optim.AdamW, {"lr": 1e-3}), steps=40)
    print(f"AdamW: {accuracy(with_gradients, test):.3f}")
    model = trained(train, trainer=ZOTrainer, optimizer=(ZOSGD, {"lr": 1e-2, "zo_eps": 1e-2, "seed": 0}), steps=150)
    print(f"forward passes only: {accuracy(model, test):.3f}")
    model.save_pretrained(FOLDER)
    print(f"loaded from disk: {accuracy(load_adapter(AutoModelForMaskedLM.from_pretrained(BASE), FOLDER), test):.3f}")
