"""The paper's numbers stand beside the cells that they are about, and beside no others."""

import pytest

from loretta_core.config import cell_from_overrides
from loretta_core.report.paper import paper_score, printed_scores


def cell(model, task, method, trainer="adam"):
    return cell_from_overrides([f"model={model}", f"task={task}", f"method={method}", f"trainer={trainer}"])


@pytest.mark.parametrize(
    ("model", "task", "method", "expected"),
    [
        ("microsoft/deberta-base", "sst2", "loretta_adp", 0.9530),
        ("roberta-base", "rte", '{type = "loretta_rep", tensor_rank = 5}', 0.7442),
        ("meta-llama/Llama-2-7b-hf", "drop", '{type = "lora", r = 8}', 0.4596),
        ("meta-llama/Llama-2-70b-hf", "squad", "loretta_adp", 0.9433),
    ],
)
def test_printed_numbers(model, task, method, expected):
    found = paper_score(cell(model, task, method))
    assert found is not None
    assert found.value == pytest.approx(expected)
    assert "NAACL 2024, table" in found.text


@pytest.mark.parametrize(
    ("model", "task", "method", "trainer"),
    [
        ("roberta-large", "sst2", "loretta_adp", "adam"),
        ("roberta-base", "sst2", '{type = "lora", r = 2}', "adam"),
        ("roberta-base", "sst2", "loretta_adp", "zo_sgd"),
        ("toy-bert", "toy_sentiment", "lora", "adam"),
        ("meta-llama/Llama-2-7b-hf", "sst2", "loretta_adp", "adam"),
    ],
)
def test_nothing_is_said_where_nothing_is_printed(model, task, method, trainer):
    assert paper_score(cell(model, task, method, trainer)) is None


def test_every_entry_names_a_method_and_a_task_of_ours():
    for model, task, method, score in printed_scores():
        settings = ", ".join(f"{key} = {value!r}".replace("'", '"') for key, value in method.items())
        assert paper_score(cell(f"org/{model}", task, f"{{{settings}}}")) is score
        assert 0.3 < score.value < 1


def test_it_becomes_a_column_where_there_is_one():
    from loretta_core.report.rows import ResultRow
    from loretta_core.report.tables import comparison_table, to_latex

    config = cell("roberta-base", "sst2", "loretta_adp")
    row = ResultRow(cell_id="x", cell=config, labels={"model": "roberta_base", "task": "sst2", "method": "loretta_adp", "trainer": "adam"}, record=None)
    table = comparison_table([row])
    assert table.columns[-3] == "paper"
    assert table.body[0][-3] == "0.944"
    latex = to_latex(table)
    assert r"roberta\_base & sst2 & loretta\_adp & adam & -- & not run & 0.944 & -- & -- \\" in latex
    assert row.to_json()["paper_score"] == pytest.approx(0.9438)
