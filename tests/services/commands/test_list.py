"""`loretta list`: every member of a family with every field."""

import json

import pytest

from loretta_core.config import FAMILIES
from services import cli


@pytest.mark.parametrize("family", FAMILIES)
def test_list_names_every_member_and_every_field(family, capsys):
    assert cli.main(["list", f"{family}s"]) == 0
    text = capsys.readouterr().out
    assert cli.main(["list", f"{family}s", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert entries.keys() == FAMILIES[family].keys()
    for name, cls in FAMILIES[family].items():
        fields = {field["name"]: field for field in entries[name]["fields"]}
        assert fields.keys() == cls.model_fields.keys() - {"type"}
        assert all(field["description"] for field in fields.values())
        assert name in text
        assert all(f"  {field} = " in text for field in fields)


def test_an_unknown_family_is_refused(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["list", "optimizers"])
    assert exit_.value.code == 2
