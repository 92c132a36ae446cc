"""Submitted sweeps: refused with a path outside the roots, an address, code from elsewhere, or more cells than the server takes."""

import pytest
from pydantic import BaseModel

from loretta_core.config import FAMILIES
from loretta_core.config.toml import MAX_BYTES
from loretta_core.errors import ConfigError
from services.server.submission_policy import PATH_FIELDS, SubmissionPolicy, read_sweep
from tests.paths import ROOT
from tests.services.conftest import SWEEP

JSONL = 'task = {{type = "jsonl", train = "{train}", validation = "{train}"}}'


def with_task(train):
    return SWEEP.replace('task = "toy_sentiment"', JSONL.format(train=train))


def with_model(name, more=""):
    return SWEEP.replace('model = "toy-bert"', f'model = {{name = "{name}"{more}}}')


def test_what_is_shipped_and_what_the_hub_names_is_allowed():
    assert len(read_sweep(SWEEP, policy=SubmissionPolicy()).cells) == 2
    for name in ("roberta-base", "microsoft/deberta-base", "meta-llama/Llama-2-7b-hf"):
        assert read_sweep(with_model(name), policy=SubmissionPolicy()).cells[0].model.name == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (with_task("/etc/passwd"), "task.train = '/etc/passwd': outside the directories"),
        (with_task("data/train.jsonl"), "task.train = 'data/train.jsonl': not a hub id and not an absolute path"),
        (with_task("/srv/data/../../etc/*"), "outside the directories"),
        (with_task("http://169.254.169.254/latest/meta-data"), "an address"),
        (with_task("file:///etc/passwd"), "an address"),
        (with_model("/etc"), "model.name = '/etc': outside the directories"),
        (with_model("../../secret"), "not an absolute path"),
        (with_model("~/secret"), "not an absolute path"),
        (with_model("https://evil.example/model"), "an address"),
        (with_model("services"), "not a hub id"),  # a directory where the server runs
        (with_model("a/b/c"), "not a hub id"),
        (with_model("roberta-base", ", trust_remote_code = true"), "LORETTA_ALLOW_REMOTE_CODE=1"),
        (SWEEP.replace('"lora"', '"lorra"'), "axes.method[0].type = 'lorra': unknown"),
        (SWEEP.replace('name = "small"', ""), "name: missing"),
        (SWEEP.replace('name = "small"', 'name = "../x"'), "name"),
        ("x = " + "[" * 5000 + "]" * 5000, "nested"),
        ("not toml", "not valid TOML"),
        ("# " + "x" * MAX_BYTES, "bytes of TOML; at most"),
        ('name = "x"\naxes = 3', "expected the table [axes]"),
    ],
)
def test_anything_else_is_refused(text, expected, monkeypatch):

    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError) as error:
        read_sweep(text, policy=SubmissionPolicy())
    assert expected in str(error.value)


def test_a_bomb_of_axes_is_counted_and_not_expanded():
    axes = "\n".join(f'"trainer.steps{index}" = {list(range(1, 101))}' for index in range(10))
    with pytest.raises(ConfigError, match=r"100000000000000000000 combinations"):
        read_sweep('name = "bomb"\n[axes]\n' + axes, policy=SubmissionPolicy())
    with pytest.raises(ConfigError, match="combinations"):
        read_sweep(SWEEP, policy=SubmissionPolicy(max_cells=5), overrides=["method=['lora', 'ft', 'ia3', 'bitfit', 'prompt', 'prefix']"])


def test_samples_of_a_search_count():
    bomb = 'name = "a"\n[axes]\nseed = %s\n[search]\nsamples = 10000\nspace = { batch_size = [8, 16] }' % [*range(100)]
    with pytest.raises(ConfigError, match="1000000 combinations"):
        read_sweep(bomb, policy=SubmissionPolicy())


def test_trials_and_replicates_count():
    grid = 'name = "a"\n[axes]\nbatch_size = %s\n' % [*range(1, 101)]
    for protocol, cells in (("[tune]\ntrials = 10000", 1000000), ("[replicate]\nseeds = 200", 20000), ("[replicate]\nseeds = { race = [3, 500] }", 50000)):
        with pytest.raises(ConfigError, match=f"{cells} combinations"):
            read_sweep(grid + protocol, policy=SubmissionPolicy())


def test_the_directory_of_another_sweep_is_not_for_who_submits():
    protocol = '[tune]\ntrials = 2\nfrom = "/etc/sweeps/x"'
    text = 'name = "a"\ninclude = [{model = "toy-bert", task = "toy_sentiment", method = "lora", trainer = "adam"}]\n' + protocol
    with pytest.raises(ConfigError, match=r"tune\.from = '/etc/sweeps/x': refused"):
        read_sweep(text, policy=SubmissionPolicy())


def test_a_submitted_sweep_asks_no_other_server():
    served = 'engine = { type = "served", url = "http://169.254.169.254", token_env = "LORETTA_TOKENS" }'
    text = f'name = "a"\n[defaults]\nmodel = "toy-llama"\ntask = "toy_qa"\nmethod = "lora"\ntrainer = "zo_sgd"\n{served}\n'
    with pytest.raises(ConfigError, match='engine = "served": refused'):
        read_sweep(text, policy=SubmissionPolicy())


def test_a_chat_template_is_built_in_or_a_file_that_may_be_named():
    task = 'task = {{type = "instruct", train = "/srv/a.jsonl", validation = "/srv/a.jsonl", chat_template = "{name}"}}'
    for name, said in (("chatml", "task.train"), ("/etc/passwd", "outside the directories")):
        with pytest.raises(ConfigError, match=said):
            read_sweep(SWEEP.replace('task = "toy_sentiment"', task.format(name=name)), policy=SubmissionPolicy())


@pytest.mark.parametrize(("line", "said"), [('mirror = "file:///etc"', "mirror = 'file:///etc': refused"), ('sinks = ["wandb"]', '"wandb" is refused')])
def test_places_beyond_the_server_are_not_for_who_submits(line, said):
    text = f'name = "a"\n{line}\ninclude = [{{model = "toy-bert", task = "toy_sentiment", method = "lora", trainer = "adam"}}]'
    with pytest.raises(ConfigError, match=said):
        read_sweep(text, policy=SubmissionPolicy())


def test_roots_open_what_lies_below_them_and_links_are_followed_first(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "data" / "train.jsonl").write_text("{}")
    (tmp_path / "data" / "link").symlink_to(tmp_path / "secret")
    policy = SubmissionPolicy(roots=(tmp_path / "data",))
    read_sweep(with_task(tmp_path / "data" / "train.jsonl"), policy=policy)
    for path in ("data/link", "data/../secret", "data-beside/x", "data/*", "data/*/../../secret"):
        with pytest.raises(ConfigError, match="outside the directories"):
            read_sweep(with_task(tmp_path / path), policy=policy)


def test_every_text_field_was_looked_at():
    """A new field with text has to be sorted: a path belongs into PATH_FIELDS."""
    no_paths = {
        "model": {"name", "revision"},  # `name` has its own rule
        "task": {"text", "optional", "label", "labels", "template", "verbalizer", "answer", "columns", "encoding", "separator"}
        | {"stop", "end_tokens", "extract_pattern", "positive_label", "system", "messages", "choices", "delimiter", "tokens", "tags", "subjects"},
        "method": {"target_modules", "feedforward_modules", "peft_type", "options"},
        "trainer": set(),
        "engine": {"device", "url", "token_env"},  # of `served`, which is refused
    }
    paths = {(component, field) for component, field in PATH_FIELDS}
    for family, classes in FAMILIES.items():
        for cls in classes.values():
            for name in _text_fields(cls):
                assert (family, name) in paths or name in no_paths[family], f"{family}.{name}: a path, or not?"


def _text_fields(cls: type[BaseModel]) -> set[str]:
    return {name for name, info in cls.model_fields.items() if "str" in str(info.annotation) and name != "type"}
