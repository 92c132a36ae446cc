"""ZOTrainer: the loop of Hugging Face, our step."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertForSequenceClassification, TrainingArguments

from loretta_core import ZOSGD, ZerothOrder, ZOTrainer

ROWS = [
    {"input_ids": torch.randint(5, 50, (8,), generator=torch.Generator().manual_seed(i)), "attention_mask": torch.ones(8, dtype=torch.long), "labels": i % 2}
    for i in range(24)
]


def model():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50, "max_position_embeddings": 16, "intermediate_size": 32}
    return get_peft_model(BertForSequenceClassification(BertConfig(**sizes)), LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"]))


def adam():
    """A factory in transformers' sense: it returns (model, settings) → optimizer."""
    return lambda model, lr, **options: ZerothOrder(torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr), **options)


def first_order():
    return lambda model, lr, **options: torch.optim.SGD(model.parameters(), lr=lr)


def train(tmp_path, *, kind=ZOSGD, resume=None, steps=6, **options):
    settings = {"per_device_train_batch_size": 4, "max_steps": steps, "logging_steps": 1, "save_steps": 3, "learning_rate": 1e-2, "use_cpu": True}
    arguments = TrainingArguments(output_dir=str(tmp_path), report_to=[], disable_tqdm=True, seed=0, dataloader_pin_memory=False, **(settings | options))
    trainer = ZOTrainer(
        model=model(), args=arguments, train_dataset=ROWS, optimizer_cls_and_kwargs=(kind, {"lr": 1e-2, "zo_eps": 1e-2, "seed": 1, "num_directions": 2})
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def weights(trainer):
    return torch.cat([p.detach().reshape(-1) for p in trainer.model.parameters() if p.requires_grad])


def differences(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("kind", [ZOSGD, adam])
def test_it_trains_logs_and_schedules(kind, tmp_path):
    before = torch.cat([p.detach().reshape(-1) for p in model().parameters() if p.requires_grad])
    trainer = train(tmp_path, kind=kind)
    assert len(differences(trainer)) == 6
    assert all(0.3 < loss < 1.5 for loss in differences(trainer))
    assert not torch.equal(weights(trainer), before)
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < rates[0]


def test_accumulation_is_the_large_batch(tmp_path):
    whole = train(tmp_path / "a", per_device_train_batch_size=8, steps=3)
    pieces = train(tmp_path / "b", per_device_train_batch_size=4, gradient_accumulation_steps=2, steps=3)
    torch.testing.assert_close(torch.tensor(differences(whole)), torch.tensor(differences(pieces)), atol=1e-4, rtol=0)
    torch.testing.assert_close(weights(whole), weights(pieces), atol=1e-4, rtol=0)


def test_a_checkpoint_continues_bitwise(tmp_path):
    whole = train(tmp_path / "a", kind=adam)
    resumed = train(tmp_path / "a", kind=adam, resume=str(tmp_path / "a" / "checkpoint-3"))
    assert torch.equal(weights(whole), weights(resumed))


def test_another_optimizer_is_refused(tmp_path):
    with pytest.raises(TypeError, match="needs ZOSGD or ZerothOrder"):
        train(tmp_path, kind=first_order)


def test_a_step_without_a_loss_is_refused():
    optimizer = ZOSGD([torch.nn.Parameter(torch.ones(2))])
    with pytest.raises(ValueError, match="needs the loss"):
        optimizer.step()
