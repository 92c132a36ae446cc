"""TOML that is made to hurt is refused in a moment; what people write is read as it stands."""

import time

import pytest

from loretta_core.config.toml import MAX_BYTES, MAX_DEPTH, MAX_DIGITS, parse_override, parse_toml, read_toml
from loretta_core.errors import ConfigError

MANY = 20_000

HURTING = {
    "digits of an integer": (f"a = [\n{'7' * 5000}]", "line 2: a number of 5,000 digits"),
    "digits between underscores": (f"a = -{'7_' * 3000}7", "digits"),
    "digits of a float": (f"a = 0.{'7' * 5000}", "digits"),
    "hexadecimal digits": (f"a = 0x{'f' * 5000}", "digits"),
    "parts of a key": (".".join(["a"] * MANY) + " = 1", "nested"),
    "parts of a key with spaces": (" . ".join(["a"] * MANY) + " = 1", "nested"),
    "quoted parts of a key": (".".join(['"a.b"'] * MANY) + " = 1", "nested"),
    "parts of a heading": ("[" + ".".join(["a"] * MANY) + "]", "nested"),
    "lists": ("a = " + "[" * MANY + "]" * MANY, "nested"),
    "lists that stay open": ("a = " + "[" * MANY, "nested"),
    "tables": ("a = " + "{a = " * MANY + "1" + "}" * MANY, "nested"),
    "bytes": ("# " + "é" * (MAX_BYTES // 2), "200,002 bytes of TOML; at most 200,000"),
    "strings that stay open": ("a = '''x\n" * MANY, "not valid TOML"),
    "quotes without end": ('a = "' + '\\"' * MANY, "not valid TOML"),
}


@pytest.mark.parametrize("name", HURTING)
def test_what_is_made_to_hurt_is_refused_in_a_moment(name):
    text, message = HURTING[name]
    begun = time.process_time()
    with pytest.raises(ConfigError, match=message):
        parse_toml(text)
    assert time.process_time() - begun < 0.2


def test_strings_and_comments_hold_what_they_like():
    digits, brackets = "7" * 5000, "[{." * 1000
    text = f'a = "{digits}"\nb = \'{brackets}\'\n# {brackets}{digits}\nc = """\n{brackets}""{digits}"""\nd = \'\'\'{digits}\'\n\'\'\'\n'
    assert parse_toml(text) == {"a": digits, "b": brackets, "c": f'{brackets}""{digits}', "d": f"{digits}'\n"}


def test_what_is_just_within_the_limits_is_read():
    deep = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert parse_toml(f"a = {'7' * MAX_DIGITS}\nb = {deep}\nc.{'.'.join('d' * (MAX_DEPTH - 2))} = 1")["a"] == int("7" * MAX_DIGITS)
    assert parse_toml("\n".join(f'[[include]]\n"trainer.lr" = 1.5e-{index % 9}' for index in range(1000)))["include"][1] == {"trainer.lr": 0.15}


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path):
    (tmp_path / "a.toml").write_bytes("a = 1".encode("utf-8-sig"))
    assert read_toml(tmp_path / "a.toml") == {"a": 1}
    (tmp_path / "a.toml").write_bytes("a = 1".encode("utf-16"))
    with pytest.raises(ConfigError, match="save the file as UTF-8"):
        read_toml(tmp_path / "a.toml")


def test_a_large_file_is_not_even_read(tmp_path):
    path = tmp_path / "a.toml"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(ConfigError, match="a sweep file has at most 200,000"):
        read_toml(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trainer.lr=1e-3", ("trainer.lr", 1e-3)),
        (" method = lora ", ("method", "lora")),
        ("model=org/name-of-40-digits-" + "7" * 40, ("model", "org/name-of-40-digits-" + "7" * 40)),
        ("task.template=1\nb = 2", ("task.template", "1\nb = 2")),
        ('exclude=[{method = "ft"}]', ("exclude", [{"method": "ft"}])),
    ],
)
def test_the_value_of_an_override_is_toml_or_a_string(text, expected):
    assert parse_override(text) == expected


@pytest.mark.parametrize(("key", "value"), [("seed", "7" * 5000), ("seed", "[" * MANY), (".".join(["a"] * MANY), "1"), ("seed", "x" * MAX_BYTES)])
def test_an_override_has_the_same_limits(key, value):
    begun = time.process_time()
    with pytest.raises(ConfigError, match="--set ") as error:
        parse_override(f"{key}={value}")
    assert time.process_time() - begun < 0.2
    assert len(str(error.value)) < 300
