"""The README's table of architectures is what the structural rule finds in real models of each, built without memory."""

from tests.structure.architectures import printed, table


def test_the_readme_has_the_table_of_the_code():
    assert printed() == table(), "run `python -m tests.structure.architectures --write`"
