"""Bad input: the message names the place in the file, what was given and what is allowed."""

import pytest

from loretta_core.config import cell_from_overrides, load_sweep
from loretta_core.errors import ConfigError

GOOD = """
[defaults]
model = "toy-bert"
task = "toy_sentiment"
[axes]
method = ["lora", {type = "loretta_adp", tensor_rank = 4}]
trainer = ["adam"]
"""

CASES = {
    "unknown method": ('"lora"', '"lorra"', ["axes.method[0].type = 'lorra'", "Did you mean 'lora'?", "loretta_rep"]),
    "misspelt key": ("tensor_rank = 4", "tensor_rnk = 4", ["axes.method[1].tensor_rnk = 4: unknown key", "Did you mean 'tensor_rank'?"]),
    "rank zero": ("tensor_rank = 4", "tensor_rank = 0", ["axes.method[1].tensor_rank = 0", "greater than or equal to 1"]),
    "bare rank": ("tensor_rank = 4", "rank = 4", ["`rank` = 4 is ambiguous", "`tensor_rank`", "`r`"]),
    "wrong type": ("tensor_rank = 4", 'tensor_rank = "four"', ["axes.method[1].tensor_rank = 'four'", "integer"]),
    "misspelt default": ('task = "toy_sentiment"', 'tsk = "toy_sentiment"', ["defaults.tsk", "Did you mean 'task'?", "task: missing"]),
    "unknown top-level key": ("[defaults]", "nam = 1\n[defaults]", ["nam = 1: unknown key", "Did you mean 'name'?"]),
    "single value as axis": ('trainer = ["adam"]', 'trainer = "adam"', ["axes.trainer = 'adam'", "non-empty list"]),
    "both budgets": ('["adam"]', '[{type = "adam", steps = 5, epochs = 1}]', ["steps = 5 and epochs = 1.0 are both given"]),
    "not TOML": ("[axes]", "[axes", ["not valid TOML", "line"]),
    "unknown field in a rule": ("[axes]", '[[exclude]]\n"method.rnk" = 4\n[axes]', ["exclude[0].method.rnk: no cell has such a field"]),
    "key of a table in a table": ("[defaults]", "tune.budget.hour = 4\n[defaults]", ["tune.budget.hour = 4: unknown key", "Did you mean 'hours'?", "usd"]),
    "key of a race": ("[defaults]", "replicate.seeds.rase = 4\n[defaults]", ["rase = 4: unknown key", "Did you mean 'race'?"]),
    "long value": ("[defaults]", f"name = {[1] * 500}\n[defaults]", ["name = [1, 1", "1,…: input should be a valid string"]),
    "no list of rules": ("[defaults]", "priority = 3\n[defaults]", ["priority = 3: expected a list."]),
    "accumulation": ("[axes]", "engine.gradient_accumulation = 3\n[axes]", ["gradient_accumulation = 3 does not divide batch_size = 16"]),
}


@pytest.mark.parametrize("case", CASES)
def test_one_clear_message(case, tmp_path):
    old, new, expected = CASES[case]
    path = tmp_path / "sweep.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError) as error:
        load_sweep(path)
    assert str(path) in str(error.value)
    for part in expected:
        assert part in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_sweep(tmp_path / "absent.toml")


def test_an_override_is_named_as_the_place():
    with pytest.raises(ConfigError, match=r"--set trainer.lr = -1: input should be greater than 0"):
        cell_from_overrides(["model=toy-bert", "task=toy_sentiment", "method=lora", "trainer.lr=-1", "trainer=adam"])


def test_an_override_without_a_value():
    with pytest.raises(ConfigError, match="expected key=value"):
        cell_from_overrides(["model"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('objective="prompt"', "needs `template`"),
        ('template="{text} {mask}"', "used by objective = .prompt. only"),
        ('objective="prompt"; template="{text}"; verbalizer=["a"]', "lacks {mask}"),
    ],
)
def test_a_jsonl_prompt_is_complete_or_refused(change, message):
    fields = [f"task.{part.strip()}" for part in change.split(";")]
    base = ["model=toy-bert", 'task={type="jsonl", train="a", validation="b"}', "method=lora", "trainer=adam"]
    with pytest.raises(ConfigError, match=message):
        cell_from_overrides(base + fields)
