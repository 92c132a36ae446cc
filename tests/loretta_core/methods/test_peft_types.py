"""`{type = "peft", …}`: every name of the installed PEFT has exactly one answer, and extra keys are part of the cell."""

import pytest
from peft import PeftType

import loretta_core.adapters.build  # noqa: F401  registers our types
from loretta_core.config import CellConfig, cell_from_overrides
from loretta_core.config.explain import FAMILIES
from loretta_core.errors import ConfigError
from loretta_core.methods.peft_types import NOT_CELLS, PEFT_TYPES, own_types
from loretta_core.report.labels import component_labels

TOY = ["model=toy-bert", "task=toy_sentiment", "trainer=adam"]


def cell(method):
    return cell_from_overrides([*TOY, f"method={{{method}}}"])


def test_every_name_of_the_installed_peft_has_one_answer():
    names = [*own_types(), *NOT_CELLS, *PEFT_TYPES]
    assert sorted(names) == sorted(PeftType.__members__)
    assert set(own_types().values()) < set(FAMILIES["method"])


@pytest.mark.parametrize(
    ("peft_type", "message"),
    [
        ("LORA", "peft_type = 'LORA' has a type of its own here: type = 'lora'"),
        ("P_TUNING", "type = 'ptune'"),
        ("POLY", "cannot be a cell: every row needs a task id"),
        ("VERRA", "peft_type = 'VERRA' is unknown. Did you mean 'VERA'\\? Known: ADAMSS, "),
        ("vera", "Did you mean 'VERA'"),
    ],
)
def test_other_names_are_pointed_somewhere(peft_type, message):
    with pytest.raises(ConfigError, match=message):
        cell(f'type = "peft", peft_type = "{peft_type}"')


def test_extra_keys_are_part_of_the_cell_and_survive_json():
    one, two = cell('type = "peft", peft_type = "VERA", r = 16'), cell('type = "peft", peft_type = "VERA", r = 32')
    assert one.cell_id != two.cell_id
    again = CellConfig.from_json(one.to_json())
    assert again == one
    assert again.cell_id == one.cell_id
    assert again.method.fields == {"r": 16}


def test_extra_keys_tell_cells_apart_in_tables():
    cells = [cell('type = "peft", peft_type = "VERA", r = 16'), cell('type = "peft", peft_type = "VERA"'), cell('type = "peft", peft_type = "LOHA"')]
    labels = [label["method"] for label in component_labels(cells)]
    assert labels == ["VERA r=16", "VERA", "LOHA"]


def test_the_caption_names_the_peft_method():
    assert cell('type = "peft", peft_type = "VERA", r = 16').label == "toy-bert · toy_sentiment · VERA · adam · seed 0"
