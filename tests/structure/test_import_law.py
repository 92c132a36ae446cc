"""CONTRIBUTING.md prints the contracts of pyproject.toml, and every container's contract is exhaustive."""

from tests.structure.import_law import contracts, law, printed


def test_contributing_prints_the_contracts():
    assert printed() == law(), "run `python -m tests.structure.import_law --write` and commit CONTRIBUTING.md"


def test_every_contract_of_rooms_is_exhaustive():
    open_ones = [contract["name"] for contract in contracts() if "containers" in contract and not contract.get("exhaustive")]
    assert not open_ones, f"set `exhaustive = true`, so that a new module has to be given its layer: {open_ones}"
