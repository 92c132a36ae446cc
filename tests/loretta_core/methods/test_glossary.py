"""The report's sentence about methods."""

from loretta_core.methods import METHODS
from loretta_core.methods.glossary import explain_methods


def test_methods_with_the_same_words_are_named_together():
    assert "loretta_adp and loretta_rep: the same two ideas" in explain_methods()
    assert "prompt, prefix, ptune: made-up words" in explain_methods()


def test_every_method_is_explained_once():
    named = [name for sentence in explain_methods().split(".") if ":" in sentence for name in sentence.split(":")[0].replace(" and ", ", ").strip().split(", ")]
    assert sorted(named) == sorted(METHODS)
