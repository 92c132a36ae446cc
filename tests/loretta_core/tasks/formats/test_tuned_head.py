"""A checkpoint's own classification head: kept and matched by name, kept in order, or made anew."""

import pytest

from loretta_core.tasks.formats.tuned_head import TunedHead, tuned_head


def config(*labels, architecture="BertForSequenceClassification"):
    return {"architectures": [architecture], "id2label": {str(index): label for index, label in enumerate(labels)}}


@pytest.mark.parametrize(
    ("labels", "names", "order", "fresh"),
    [
        (("positive", "negative"), ("negative", "positive"), (1, 0), False),
        (("NEGATIVE", "Positive"), ("negative", "positive"), (), False),
        (("CONTRADICTION", "NEUTRAL", "ENTAILMENT"), ("entailment", "neutral", "contradiction"), (2, 1, 0), False),
        (("not entailment", "entailment"), ("entailment", "not_entailment"), (1, 0), False),
        (("LABEL_0", "LABEL_1"), ("negative", "positive"), (), False),
        (("negative", "positive"), ("0", "1"), (), False),
        (("sad", "glad"), ("negative", "positive"), (), True),
        (("LABEL_0", "LABEL_1", "LABEL_2"), ("negative", "positive"), (), True),
        (("LABEL_0", "LABEL_1"), (), (), True),
    ],
)
def test_labels_decide(labels, names, order, fresh):
    head = tuned_head(config(*labels), names)
    assert (head.order, head.fresh) == (order, fresh)
    assert labels[0] in head.note
    assert ("made anew" in head.note) == fresh


def test_a_checkpoint_without_a_head_says_nothing():
    assert tuned_head(config("LABEL_0", "LABEL_1", architecture="BertForMaskedLM"), ("a", "b")) == TunedHead()
    assert tuned_head({}, ("a", "b")) == TunedHead()
    assert tuned_head(config("LABEL_0"), ()) == TunedHead()
