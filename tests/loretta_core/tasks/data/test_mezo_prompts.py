"""Decoders: prompts are pinned, answers are scored exactly, whatever padding, batch and candidates; the oracle wins and a constant gets the majority."""

import json

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from loretta_core.config.task import Decoder, Glue, Jsonl
from loretta_core.errors import DataError
from loretta_core.tasks.build import build_objective, load_data
from loretta_core.tasks.collate import Collator
from loretta_core.tasks.data.mezo_prompts import PROMPTS, candidate_text, right_answer, with_demonstrations
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.candidates import CandidateRanking
from loretta_core.tasks.formats.generation import Generation
from loretta_core.train.evaluate import evaluate

CPU = torch.device("cpu")


@pytest.fixture(params=["right", "left"])
def byte_tokenizer(request):
    """One token per byte, and a beginning-of-text token, as Llama writes it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "</s>": 1} | {letter: index + 2 for index, letter in enumerate(alphabet)}
    core = Tokenizer(models.BPE(vocabulary, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    from tokenizers.processors import TemplateProcessing

    core.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="</s>", padding_side=request.param)


@pytest.fixture(scope="module")
def llama():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=258, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, initializer_range=0.3, bos_token_id=0, eos_token_id=1
    )
    return LlamaForCausalLM(config).eval()


NLI = {"premise": "It rains.", "hypothesis": "It is wet", "label": 1}
GOLDEN = {
    "sst2": ({"sentence": "a fine film ", "label": 1}, "a fine film It was great"),
    "rte": (
        {"sentence1": "Dogs bark.", "sentence2": "Animals bark.", "label": 0},
        'Dogs bark.\nDoes this mean that "Animals bark." is true? Yes or No?\nYes',
    ),
    "cb": (NLI, 'Suppose It rains. Can we infer that "It is wet"? Yes, No, or Maybe?\nNo'),
    "boolq": ({"passage": "Sky -- Blue.", "question": "is the sky blue", "label": 1}, "Sky -- Blue. Is the sky blue?\nYes"),
    "wsc": (
        {"text": "Ann told Bo. She left.", "span1_text": "Ann", "span2_text": "She", "label": 1},
        'Ann told Bo. She left.\nIn the previous sentence, does the pronoun "she" refer to Ann? Yes or No?\nYes',
    ),
    "wic": (
        {"word": "bank", "sentence1": "A river bank.", "sentence2": "A savings bank.", "label": 0},
        'Does the word "bank" have the same meaning in these two sentences? Yes, No?\nA river bank.\nA savings bank.\nNo',
    ),
    "multirc": (
        {"paragraph": "Tom ran.", "question": "Who ran?", "answer": "Tom", "label": 1},
        'Tom ran.\nQuestion: Who ran?\nI found this answer "Tom". Is that correct? Yes or No?\nYes',
    ),
    "copa": (
        {"premise": "The man fell.", "choice1": "I pushed him.", "choice2": "He was tired.", "question": "cause", "label": 1},
        "The man fell because he was tired.",
    ),
    "record": (
        {"passage": "News.\n@highlight\nOne", "query": "The @placeholder won", "entities": ["Reds", "Blues"], "answers": ["Blues"]},
        "News.\n- One\n- The Blues won",
    ),
    "squad": (
        {"title": "Sky", "context": "It is blue.", "question": " What colour?", "answers": {"text": ["blue", "blue"], "answer_start": [6, 6]}},
        "Title: Sky\nContext: It is blue.\nQuestion: What colour?\nAnswer: blue",
    ),
    "drop": (
        {"passage": "They won 3 games.", "question": "How many?", "answers_spans": {"spans": ["3"], "types": ["number"]}},
        "Passage: They won 3 games.\nQuestion: How many?\nAnswer: 3",
    ),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_golden_prompts(name):
    item, expected = GOLDEN[name]
    row = PROMPTS[name](item)
    assert row.text["prompt"] + right_answer(row) == expected


def test_copa_lowers_the_first_word_and_keeps_a_capital_i():
    tv = PROMPTS["copa"]({**GOLDEN["copa"][0], "choice2": "TV was off.", "label": 1})
    assert candidate_text(tv, 1) == " tv was off."
    row = PROMPTS["copa"]({**GOLDEN["copa"][0], "question": "effect", "label": 0})
    assert row.text["prompt"] + candidate_text(row, 0) == "The man fell so I pushed him."


def rows() -> list[Row]:
    texts = ["short", "a much longer prompt than the others", "middle one", "x"]
    return [Row({"prompt": f"{text} It was"}, index % 2, candidates=(" terrible", " great")) for index, text in enumerate(texts)]


def test_scores_are_mean_log_probabilities_of_each_candidate_alone(byte_tokenizer, llama):
    """Against one sequence at a time, without padding."""
    objective = CandidateRanking(byte_tokenizer, max_length=100, rank_loss=True)
    batch = Collator(byte_tokenizer, device=CPU)(objective.encode(rows()))
    expected = []
    for row in rows():
        start = len(row.text["prompt"]) + 1
        scores = []
        for candidate in row.candidates:
            ids = torch.tensor([byte_tokenizer(row.text["prompt"] + candidate)["input_ids"]])
            log_p = llama(ids).logits[0].log_softmax(-1)
            scores.append(torch.stack([log_p[t - 1, ids[0, t]] for t in range(start, ids.shape[1])]).mean())
        expected.append(torch.stack(scores))
    scores_BC = torch.stack(expected)
    with torch.no_grad():
        torch.testing.assert_close(objective.loss(llama, batch), torch.nn.functional.cross_entropy(scores_BC, torch.tensor([0, 1, 0, 1])), atol=1e-5, rtol=0)
        assert objective.evaluate(llama, batch).predictions == scores_BC.argmax(-1).tolist()


def test_the_lm_loss_sees_the_right_answer_only(byte_tokenizer, llama):
    objective = CandidateRanking(byte_tokenizer, max_length=100, rank_loss=False)
    collate = Collator(byte_tokenizer, device=CPU)
    trained = collate(objective.encode(rows(), training=True))
    assert trained.choices_B == (1, 1, 1, 1)
    with torch.no_grad():
        loss = objective.loss(llama, trained)
        found = objective.evaluate(llama, collate(objective.encode(rows())))
    assert loss.item() == pytest.approx(found.loss_sum / 4, abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_batch_size_does_not_change_a_score(byte_tokenizer, llama, batch_size):
    many = [Row({"prompt": "p " * n}, 0, candidates=tuple(f"{c} end" for c in "abcdefg"[: 2 + n % 5])) for n in range(1, 12)]
    objective = CandidateRanking(byte_tokenizer, max_length=100, rank_loss=True)
    examples = objective.encode(many)
    runs = [evaluate(llama, examples, objective=objective, collate=Collator(byte_tokenizer, device=CPU), batch_size=size) for size in (batch_size, 11)]
    assert runs[0].predictions == runs[1].predictions
    assert runs[0].loss == pytest.approx(runs[1].loss, abs=1e-4)


def test_truncation_is_from_the_left_equal_for_all_candidates_and_never_cuts_an_answer(byte_tokenizer):
    row = Row({"prompt": "0123456789"}, 0, candidates=("yes", "maybe"))
    choices = CandidateRanking(byte_tokenizer, max_length=12, rank_loss=True).encode([row])[0].choices
    assert [byte_tokenizer.decode(choice.tokens) for choice in choices] == ["<s>456789yes", "<s>456789maybe"]
    assert [choice.scored for choice in choices] == [3, 5]


BAD = [
    (("same", "same"), True, "row 1: two of the answers .* are the same tokens"),
    (("same", "same"), False, "are the same tokens"),
    (("", "No"), True, "the answer '' has no tokens"),
    (("x" * 200, "No"), True, "does not fit into max_length = 100"),
]


@pytest.mark.parametrize(("candidates", "rank_loss", "message"), BAD)
def test_answers_that_cannot_be_told_apart_or_do_not_fit(byte_tokenizer, candidates, rank_loss, message):
    with pytest.raises(DataError, match=message):
        CandidateRanking(byte_tokenizer, max_length=100, rank_loss=rank_loss).encode([Row({"prompt": "p"}, 0, candidates=candidates)])


def test_answers_that_begin_alike_are_ranked_by_all_their_tokens(byte_tokenizer, llama):
    """As if each were scored alone, in training and with the prompt computed once; the gradient reaches the tokens that differ."""
    row = Row({"prompt": "p"}, 1, candidates=("No", "Not", "Nothing"))
    objective = CandidateRanking(byte_tokenizer, max_length=100, rank_loss=True)
    batch = Collator(byte_tokenizer, device=CPU)(objective.encode([row]))
    with torch.no_grad():
        expected = []
        for candidate in row.candidates:
            ids = torch.tensor([byte_tokenizer("p" + candidate)["input_ids"]])
            log_p = llama(ids).logits[0].log_softmax(-1)
            expected.append(torch.stack([log_p[t - 1, ids[0, t]] for t in range(2, ids.shape[1])]).mean())
        scores_C = torch.stack(expected)
        assert objective.loss(llama, batch).item() == pytest.approx(torch.nn.functional.cross_entropy(scores_C, torch.tensor(1)).item(), abs=1e-5)
        found = objective.evaluate(llama, batch)
    assert found.predictions == [scores_C.argmax().item()]
    assert found.log_probabilities_BC is not None
    assert found.log_probabilities_BC[0] == pytest.approx(scores_C.log_softmax(-1).numpy(), abs=1e-5)


def test_writing_equals_greedy_search_by_hand_and_stops(byte_tokenizer, llama):
    objective = Generation(byte_tokenizer, max_length=100, max_new_tokens=6, stop=["\n"])
    written = [Row({"prompt": prompt}, 0, answers=("a",)) for prompt in ("Q: one?\nA:", "Question: another?\nAnswer:", "x")]
    with torch.no_grad():
        texts = objective.evaluate(llama, Collator(byte_tokenizer, device=CPU)(objective.encode(written))).predictions
    for row, text in zip(written, texts, strict=True):
        ids = byte_tokenizer(row.text["prompt"])["input_ids"]
        new: list[int] = []
        newline = byte_tokenizer.encode("\n", add_special_tokens=False)[0]
        while len(new) < 6 and (not new or new[-1] not in (1, newline) or not byte_tokenizer.decode(new).strip()):
            new.append(llama(torch.tensor([ids + new])).logits[0, -1].argmax().item())
        assert text == byte_tokenizer.decode(new, skip_special_tokens=True).strip().split("\n")[0].rstrip()


@pytest.mark.parametrize(("settings", "expected"), [({}, " blue\n"), ({"end_tokens": ["</s>"]}, " blue\n</s>")])
def test_the_written_answer_ends_with_a_line_break_in_training(byte_tokenizer, settings, expected):
    task = Decoder(type="squad", max_length=50, max_new_tokens=6, **settings)
    objective = build_objective(task, tokenizer=byte_tokenizer, num_labels=1)
    (example,) = objective.encode([Row({"prompt": "A:"}, 0, answers=("blue", "azure"), lead=" ")], training=True)
    assert byte_tokenizer.decode(example.choices[0].tokens[-example.choices[0].scored :]) == expected
    assert byte_tokenizer.decode(list(example.prompt)) == "<s>A:"


def test_demonstrations_are_training_rows_with_their_answers(tmp_path):
    for split in ("train", "validation"):
        items = [{"sentence": f"{split} {n}", "label": n % 2} for n in range(10)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, items)))
    data = load_data(Glue(type="sst2", objective="causal", path=str(tmp_path)))
    shown = with_demonstrations(data, count=2, seed=0)
    first, second, asked = shown.test[0].text["prompt"].split("\n\n")
    assert asked == data.test[0].text["prompt"]
    assert {first, second} <= {row.text["prompt"] + right_answer(row) for row in data.train}
    with pytest.raises(DataError, match="demonstrations = 50, and there are 8 training rows"):
        with_demonstrations(data, count=50, seed=0)


def test_a_task_of_your_own_for_a_decoder(tmp_path, byte_tokenizer, llama):
    path = tmp_path / "all.jsonl"
    path.write_text("\n".join(json.dumps({"q": f"question {n}", "a": ["yes", "yeah"], "label": n % 2}) for n in range(6)))
    shared = {"type": "jsonl", "train": str(path), "validation": str(path), "text": ["q"], "objective": "causal", "template": "{q}? "}
    for fields, kind in (({"answer": "a", "metric": "squad_em", "max_new_tokens": 3}, Generation), ({"verbalizer": ["No", "Yes"]}, CandidateRanking)):
        task = Jsonl(**shared, **fields)
        data = load_data(task)
        objective = build_objective(task, tokenizer=byte_tokenizer, num_labels=data.outputs)
        assert isinstance(objective, kind)
        result = evaluate(
            llama, objective.encode(data.test), objective=objective, collate=Collator(byte_tokenizer, device=CPU), batch_size=4, scorer=data.scorer
        )
        assert 0 <= result.score <= 1


def test_a_bad_row_has_its_place(tmp_path):
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(GOLDEN["cb"][0]) + "\n" + json.dumps({**GOLDEN["cb"][0], "label": 5}))
    with pytest.raises(DataError, match=r"train.jsonl:2: label 5, expected one of 0 entailment, 1 contradiction, 2 neutral"):
        load_data(Decoder(type="cb", path=str(tmp_path)))
