"""Names of components: as short as they can be, never two for one or one for two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loretta_core.config import COMPONENTS
from loretta_core.report.labels import component_labels, varying_columns
from tests.loretta_core.report.synthetic import make_cell


def labels(*cells, of="method"):
    return [label[of] for label in component_labels(cells)]


def test_a_type_alone_is_enough():
    assert labels(make_cell("lora"), make_cell("ft"), make_cell("lora", "zo_sgd")) == ["lora", "ft", "lora"]


def test_several_of_one_type_show_what_differs():
    cells = [make_cell("lora", "adam", f"method.r={r}") for r in (4, 8)] + [make_cell("ft")]
    assert labels(*cells) == ["lora r=4", "lora r=8", "ft"]


def test_what_all_share_is_left_out():
    shared = "method.lora_alpha=32"
    assert labels(make_cell("lora", "adam", "method.r=4", shared), make_cell("lora", "adam", "method.r=8", shared)) == ["lora r=4", "lora r=8"]


def test_two_differing_fields_are_both_shown():
    cells = [make_cell("lora", "adam", f"method.r={r}", f"method.lora_alpha={alpha}") for r, alpha in ((4, 8), (8, 8), (8, 16))]
    assert labels(*cells) == ["lora r=4 lora_alpha=8", "lora r=8 lora_alpha=8", "lora r=8 lora_alpha=16"]


def test_lists_and_none():
    cells = [make_cell("lora"), make_cell("lora", "adam", 'method.target_modules=["query", "value"]')]
    assert labels(*cells) == ["lora target_modules=default", "lora target_modules=query+value"]


def test_learning_rates_are_shown_where_they_differ():
    cells = [make_cell("lora", trainer, f"trainer.lr={lr}") for trainer, lr in (("adam", 1e-4), ("adam", 1e-3), ("zo_sgd", 1e-3))]
    assert labels(*cells, of="trainer") == ["adam lr=0.0001", "adam lr=0.001", "zo_sgd"]


def test_models_are_named_by_their_last_part_unless_that_is_ambiguous():
    one, other, third = (make_cell("lora", "adam", f"model={name}") for name in ("models/a/bert", "models/b/bert", "org/roberta"))
    assert labels(one, third, of="model") == ["bert", "roberta"]
    assert labels(one, other, third, of="model") == ["models/a/bert", "models/b/bert", "roberta"]


def test_columns_that_vary():
    assert varying_columns([make_cell(), make_cell("ft")]) == []
    assert varying_columns([make_cell(), make_cell("lora", "adam", "seed=1")]) == ["seed"]
    assert varying_columns([make_cell("lora", "adam", "precision=bf16"), make_cell("lora", "adam", "batch_size=8")]) == ["precision", "batch_size"]


settings_of = st.lists(
    st.tuples(
        st.sampled_from(["toy-bert", "a/bert", "b/bert", "a/gpt"]),
        st.sampled_from(["lora", "loretta_rep"]),
        st.sampled_from([4, 8]),
        st.sampled_from([16.0, 16.00000001, 32.0]),
        st.sampled_from(["adam", "zo_sgd"]),
        st.sampled_from([1e-4, 1.0000001e-4, 1e-3]),
    ),
    min_size=1,
    max_size=6,
)


@given(settings_of)
def test_equal_components_have_equal_names_and_different_ones_different_names(settings):
    cells = [
        make_cell(method, trainer, f"model={model}", f"method.r={r}", f"method.lora_alpha={alpha!r}", f"trainer.lr={lr!r}")
        for model, method, r, alpha, trainer, lr in settings
    ]
    for component in COMPONENTS:
        names = labels(*cells, of=component)
        parts = [getattr(cell, component) for cell in cells]
        for a, name in zip(parts, names, strict=True):
            for b, other in zip(parts, names, strict=True):
                assert (a == b) == (name == other), (component, name, other)


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_has_a_name(component):
    assert labels(make_cell(), of=component)[0]


def test_a_name_is_one_line_whatever_a_template_holds():
    task = 'task={{type="jsonl", train="a", validation="b", objective="prompt", template={}, verbalizer=["bad", "good"]}}'
    templates = ('"{text}\\n{mask}"', '"{text}\\u2028\\t{mask}"', '"{text} {mask}"')
    names = labels(*(make_cell("lora", "adam", task.format(template)) for template in templates), of="task")
    assert names == [r"jsonl template={text}\n{mask}", r"jsonl template={text}\u2028\t{mask}", "jsonl template={text} {mask}"]
