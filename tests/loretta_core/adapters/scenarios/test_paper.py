"""`shape = "paper"` gives the parameter counts of the paper and of the authors' package, at real size on the meta device."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from loretta_core.adapters.build import apply_method, trainable_parameter_count
from loretta_core.adapters.tuners.tt_classifier import TTHeadLinear
from loretta_core.config.method import LorettaAdp, LorettaRep

_BASE = {"num_labels": 2}
_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096, "num_labels": 2}
_DEBERTA = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 0, "num_labels": 2}


def _llama(hidden, layers, heads, intermediate, kv_heads=None):
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": intermediate,
        "num_key_value_heads": kv_heads,
    }


MODELS = {
    "deberta-base": ("deberta", _DEBERTA),
    "roberta-base": ("roberta", _BASE),
    "roberta-large": ("roberta", _LARGE),
    "bert-base": ("bert", _BASE),
    "llama-2-7b": ("llama", _llama(4096, 32, 32, 11_008)),
    "llama-2-13b": ("llama", _llama(5120, 40, 40, 13_824)),
    "llama-2-70b": ("llama", _llama(8192, 80, 64, 28_672, kv_heads=8)),
}
FINAL = 768 * 2 + 2
"""The small dense layer at the end, which trains by PEFT's rule; the paper's DeBERTa rep runs froze it."""


def count(model_name, method):
    """Return the trained parameters at full depth: the count is linear in the number of layers, so one and two layers at real width are enough."""
    model_type, sizes = MODELS[model_name]
    depth = sizes.get("num_hidden_layers", 12)
    one, two = (built_count(model_type, {**sizes, "num_hidden_layers": layers}, method) for layers in (1, 2))
    return one + (depth - 1) * (two - one)


def built_count(model_type, sizes, method):
    config = AutoConfig.for_model(model_type, **sizes)
    decoder = model_type == "llama"
    with torch.device("meta"):
        base = (AutoModelForCausalLM if decoder else AutoModelForSequenceClassification).from_config(config)
        return trainable_parameter_count(apply_method(base, method=method, task_type="CAUSAL_LM" if decoder else "SEQ_CLS"))


def adp(rank, **settings):
    return LorettaAdp(type="loretta_adp", tensor_rank=rank, shape="paper", **settings)


def rep(rank, **settings):
    return LorettaRep(type="loretta_rep", tensor_rank=rank, shape="paper", **settings)


@pytest.mark.parametrize(
    ("model_name", "method", "expected"),
    [
        ("llama-2-7b", adp(5), 876_800),
        ("llama-2-7b", rep(8), 516_096),
        ("llama-2-13b", adp(5), 1_292_400),
        ("llama-2-13b", adp(8), 1_676_160),
        ("llama-2-70b", adp(5), 3_991_552),
        ("deberta-base", adp(2), 67_762),
        ("deberta-base", adp(5), 99_034),
        ("deberta-base", adp(10), 206_194),
        ("deberta-base", adp(20), 626_914),
        ("deberta-base", rep(2), 42_056 + FINAL),
        ("deberta-base", rep(5), 55_606),
        ("deberta-base", rep(5), 54_068 + FINAL),
        ("deberta-base", rep(10), 94_568 + FINAL),
        ("deberta-base", rep(20), 252_368 + FINAL),
        ("roberta-base", rep(5), 67_928 + FINAL),
    ],
)
def test_counts_of_the_paper(model_name, method, expected):
    assert count(model_name, method) == expected


@pytest.mark.parametrize(("model_name", "method", "expected"), [("llama-2-7b", rep(8), 516_096), ("deberta-base", adp(5), 99_034)])
def test_counts_at_full_depth(model_name, method, expected):
    model_type, sizes = MODELS[model_name]
    assert built_count(model_type, sizes, method) == expected


def other_classifier(rank):
    """Return the difference that the authors' repository makes, whose head has 8,8,12,12,8,8 for the classifier, where the paper's runs had 12,8,8,8,8,12."""
    return sum_of_cores([8, 8, 12, 12, 8, 8], rank) - sum_of_cores([12, 8, 8, 8, 8, 12], rank)


def sum_of_cores(modes, rank):
    return rank * (modes[0] + modes[-1]) + rank**2 * sum(modes[1:-1])


@pytest.mark.parametrize("model_name", ["deberta-base", "roberta-base"])
@pytest.mark.parametrize(("rank", "expected"), [(2, 29_378), (5, 60_794), (8, 117_122), (16, 389_122)])
def test_adp_counts_of_the_authors_package(model_name, rank, expected):
    assert count(model_name, adp(rank, train_norms=False)) + other_classifier(rank) == expected


@pytest.mark.parametrize(
    ("model_name", "counts"),
    [("deberta-base", (43_610, 55_766, 77_282, 180_418)), ("roberta-base", (46_274, 69_626, 110_978, 309_250))],
)
def test_rep_counts_of_the_authors_package(model_name, counts):
    assert tuple(count(model_name, rep(rank)) + other_classifier(rank) for rank in (2, 5, 8, 16)) == counts


def test_the_classifier_can_have_a_list_of_its_own():
    assert count("deberta-base", adp(5, train_norms=False, classifier_shape=[8, 8, 12, 12, 8, 8])) == 60_794


@pytest.mark.parametrize(
    ("model_name", "adp_counts", "rep_counts", "norms"),
    [
        ("roberta-large", (69_330, 137_178, 261_186, 866_434), (114_386, 166_106, 260_162, 717_954), 100_352),
        ("llama-2-7b", (437_760, 610_560, 921_600, 2_426_880), (285_696, 368_640, 516_096, 1_224_704), 266_240),
        ("llama-2-13b", (666_720, 877_680, 1_261_440, 3_129_600), (436_480, 531_520, 701_440, 1_520_640), 414_720),
        ("llama-2-70b", (2_096_640, 2_672_640, 3_732_480, 8_924_160), (1_377_792, 1_667_712, 2_199_552, 4_800_512), 1_318_912),
    ],
)
def test_counts_of_larger_models_in_the_authors_package(model_name, adp_counts, rep_counts, norms):
    ranks = (2, 5, 8, 16)
    assert tuple(count(model_name, adp(rank, train_norms=False)) for rank in ranks) == adp_counts
    assert tuple(count(model_name, rep(rank)) for rank in ranks) == rep_counts
    assert count(model_name, adp(5)) == adp_counts[1] + norms


@pytest.mark.parametrize(("method", "expected"), [(adp(5, train_norms=False), 58_946), (rep(5), 67_778)], ids=["adp", "rep"])
def test_bert_keeps_its_pooler(method, expected):
    assert count("bert-base", method) == expected


@pytest.mark.parametrize(
    ("method", "printed_millions"),
    [
        (adp(5, train_norms=False), 0.061),
        (adp(5), 0.1),
        (adp(5, train_norms=False, classifier_shape="dense"), 0.058),
        (adp(5, classifier_shape="dense"), 0.096),
        (rep(5), 0.054),
        (rep(5, train_norms=False), 0.016),
        (rep(5, classifier_shape="dense"), 0.052),
        (rep(5, train_norms=False, classifier_shape="dense"), 0.014),
    ],
)
def test_table_11_classifier_and_norms(method, printed_millions):
    # The printed rows leave the final layer out or round it away.
    assert abs(count("deberta-base", method) - FINAL / 2 - printed_millions * 1e6) < 1_000 + FINAL / 2


def test_modes_of_the_paper_on_deberta(tiny):
    config = AutoConfig.for_model("deberta", **{**_DEBERTA, "num_hidden_layers": 1})
    with torch.device("meta"):
        model = apply_method(AutoModelForSequenceClassification.from_config(config), method=rep(5), task_type="SEQ_CLS")
    shapes = {name.rpartition(".")[2]: module.shape for name, module in model.named_modules() if type(module).__name__ == "TTLinear"}
    assert shapes["A"].modes == (8, 8, 12, 8)
    assert shapes["B"].modes == (8, 8, 8, 4, 9)
    (head,) = [module for module in model.modules() if isinstance(module, TTHeadLinear)]
    assert head.shape.modes == (12, 8, 8, 8, 8, 12)
    assert head.shape.ranks == (1, 5, 5, 5, 5, 5, 1)
