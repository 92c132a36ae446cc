"""docker/train.Dockerfile, read as Docker reads it: nothing it names is missing, nothing in it is loose. No Docker needed."""

import fnmatch
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import PurePosixPath

import pytest

from loretta_core.config import load_sweep
from tests.paths import ROOT

DOCKERFILE = ROOT / "docker" / "train.Dockerfile"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def parse(text):
    """Return [(INSTRUCTION, argument)] of a Dockerfile, without comments and with continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word.upper(), rest.strip()) for word, _, rest in (line.strip().partition(" ") for line in joined.splitlines() if line.strip())]


INSTRUCTIONS = parse(DOCKERFILE.read_text())


def of(name):
    return [argument for instruction, argument in INSTRUCTIONS if instruction == name]


def position(name, containing=""):
    return next(index for index, (instruction, argument) in enumerate(INSTRUCTIONS) if instruction == name and containing in argument)


def copies():
    """Return (sources, target) of every COPY from the build context."""
    split = [[word for word in shlex.split(argument) if not word.startswith("--")] for argument in of("COPY") if "--from" not in argument]
    return [(words[:-1], words[-1]) for words in split]


def ignored(path):
    """Return whether .dockerignore excludes a path of the context; a pattern covers what lies below it, and the last match wins."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip().removeprefix("!").strip("/")
        if pattern and not pattern.startswith("#"):
            parents = [str(parent) for parent in (PurePosixPath(path), *PurePosixPath(path).parents)]
            loose = pattern.removeprefix("**/")
            if any(fnmatch.fnmatch(parent, pattern) or (loose != pattern and fnmatch.fnmatch(PurePosixPath(parent).name, loose)) for parent in parents):
                out = not line.strip().startswith("!")
    return out


def test_the_parser_joins_lines_and_drops_comments():
    assert parse("# no\nFROM a:1\nRUN x \\\n    # inside\n    && y\n\nCMD z") == [("FROM", "a:1"), ("RUN", "x  && y"), ("CMD", "z")]


def test_every_instruction_is_known():
    known = {"FROM", "RUN", "ENV", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in INSTRUCTIONS} <= known, "extend this test with what the new instruction must satisfy"
    assert INSTRUCTIONS[0][0] == "FROM"


def test_the_base_image_is_pinned():
    for image in of("FROM"):
        name, _, tag = image.split()[0].partition(":")
        assert name.startswith("nvidia/cuda")
        assert re.search(r"\d+\.\d+\.\d+", tag), f"{image}: not pinned"
        assert "latest" not in tag
        assert not tag.startswith(tuple("89")), "Python of that Ubuntu is too old"


def test_sources_exist_and_reach_the_context():
    for sources, _ in copies():
        for source in sources:
            assert (ROOT / source).exists(), source
            assert not ignored(source), f"{source} is excluded by .dockerignore"


@pytest.mark.parametrize("path", [".git/config", ".venv/bin/python", "outputs/cells/x/record.json", "loretta_core/__pycache__/x.pyc", "tests/conftest.py"])
def test_what_the_image_must_not_hold_is_ignored(path):
    assert ignored(path)


def test_all_packages_are_copied():
    """An editable installation of a package that was forgotten fails only when it is imported."""
    copied = {source for sources, _ in copies() for source in sources}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= copied
    assert {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml", "constraints.txt"} <= copied


def test_package_data_reaches_the_context():
    package_data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package, patterns in package_data.items():
        directory = ROOT / package.replace(".", "/")
        files = [path.relative_to(ROOT).as_posix() for pattern in patterns for path in directory.glob(pattern)]
        assert files, package
        assert not [path for path in files if ignored(path)]


def test_every_installation_is_constrained():
    installations = [command for command in commands() if command[:2] == ["pip", "install"]]
    assert installations
    for words in installations:
        assert "constraints.txt" in words[words.index("--constraint") + 1 :][:1], words


def test_the_extras_exist():
    named = [extra for run in of("RUN") for group in re.findall(r"'\.\[([^\]]+)\]'", run) for extra in group.split(",")]
    assert named == ["train", "services", "deepspeed", "search"]
    assert set(named) <= set(PROJECT["optional-dependencies"])


def test_the_dependency_layer_installs_the_same_requirements(tmp_path):
    """The Python in the Dockerfile, run: all dependencies and the extras, so that the layer with the source installs nothing more."""
    words = next(command for command in commands() if command[:2] == ["python", "-c"])
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    printed = subprocess.run([sys.executable, "-c", words[2]], cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    extras = PROJECT["optional-dependencies"]
    assert printed == [*PROJECT["dependencies"], *extras["train"], *extras["services"], *extras["deepspeed"], *extras["search"]]


def test_dependencies_come_before_the_source():
    assert position("RUN", "requirements.txt") < position("COPY", "loretta_core")
    assert position("COPY", "constraints.txt") < position("RUN", "torch") < position("COPY", "pyproject.toml")


def test_nobody_is_root_at_run_time():
    user = position("USER")
    assert user < position("ENTRYPOINT")
    assert user < position("CMD")
    name = of("USER")[-1]
    assert name not in ("root", "0")
    assert any(f" {name} " in f"{command} " and "useradd" in command for command in of("RUN"))


def test_the_entry_point_is_a_command_of_ours():
    (entry,) = (json.loads(argument) for argument in of("ENTRYPOINT"))
    assert entry == ["loretta"]
    assert entry[0] in PROJECT["scripts"]


def test_the_default_command_is_a_sweep_that_loads():
    (command,) = (json.loads(argument) for argument in of("CMD"))
    assert command[0] == "sweep"
    home = next(argument for argument in of("WORKDIR"))  # the source is copied there
    file = ROOT / PurePosixPath(command[1]).relative_to(home)
    assert not ignored(file.relative_to(ROOT).as_posix())
    assert load_sweep(file).cells
    help_text = subprocess.run(
        [sys.executable, "-m", "services.cli", "sweep", "--help"], capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "COLUMNS": "200"}
    ).stdout
    assert "--out" in help_text


def test_package_lists_are_removed_in_the_layer_that_fetched_them():
    layers = [run for run in of("RUN") if "apt-get update" in run]
    assert layers
    assert all("rm -rf /var/lib/apt/lists/*" in run and "--no-install-recommends" in run for run in layers)


def test_nothing_is_fetched_by_url_and_no_secret_is_set():
    text = "\n".join(f"{name} {argument}" for name, argument in INSTRUCTIONS)
    assert not re.search(r"https?://|\bcurl\b|\bwget\b|\bADD\b", text)
    assert "latest" not in text
    variables = [word.split("=")[0] for argument in of("ENV") for word in shlex.split(argument)]
    assert not [name for name in variables if re.search(r"TOKEN|PASSWORD|SECRET|KEY", name)]
    assert not of("ARG")


def commands():
    """Return every shell command of every RUN, as words."""
    return [shlex.split(part.split(" > ")[0]) for run in of("RUN") for part in run.split("&&")]
