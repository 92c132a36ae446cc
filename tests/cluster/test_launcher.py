"""cluster/ray: files of Ray's cluster launcher, against the schema that the installed Ray checks them with, and against what its commands know."""

import json
import re
import shlex

import jsonschema
import pytest
import yaml

from tests.docker.test_compose import OURS, RAY, options_of_ray_start
from tests.paths import ROOT

FILES = sorted((ROOT / "cluster" / "ray").glob("*.yaml"))
SCHEMA = json.loads((RAY / "autoscaler" / "ray-schema.json").read_text())
CONFIGS = [pytest.param(yaml.safe_load(file.read_text()), id=file.stem) for file in FILES]


def test_there_is_one_for_a_cloud_and_one_for_machines_of_ones_own():
    assert {config.values[0]["provider"]["type"] for config in CONFIGS} == {"aws", "local"}


@pytest.mark.parametrize("config", CONFIGS)
def test_validating_it_with_rays_schema_does_not_raise(config):
    jsonschema.validate(config, SCHEMA)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_image_is_ours_and_pinned(config):
    assert config["docker"]["image"].removeprefix("REGISTRY/") in OURS


@pytest.mark.parametrize("config", CONFIGS)
def test_every_node_demands_the_token(config):
    (target,) = config["file_mounts"]
    starts = [command for key in ("head_start_ray_commands", "worker_start_ray_commands") for command in config[key] if "ray start" in command]
    assert len(starts) == 2
    for command in starts:
        assert f"RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH={target} " in command
        words = shlex.split(command.replace("$", ""))
        given = {word.partition("=")[0] for word in words[words.index("start") + 1 :]}
        assert given <= options_of_ray_start()
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert f"chmod 600 {target}" in config["setup_commands"]


@pytest.mark.parametrize("config", [each for each in CONFIGS if "available_node_types" in each.values[0]])
def test_node_types_fit_together(config):
    types = config["available_node_types"]
    assert config["head_node_type"] in types
    workers = {name: each for name, each in types.items() if name != config["head_node_type"]}
    assert config["max_workers"] == sum(each["max_workers"] for each in workers.values())
    assert len({each["resources"]["GPU"] for each in workers.values()}) == len(workers)
    assert any("InstanceMarketOptions" in each["node_config"] for each in workers.values())
    assert all(each["node_config"]["MetadataOptions"]["HttpTokens"] == "required" for each in types.values())


def test_the_token_of_the_instructions_is_never_committed():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    for file in FILES:
        (path,) = set(re.findall(r">(cluster/\S+)", file.read_text()))
        assert f"/{path}" in ignored


@pytest.mark.parametrize("config", CONFIGS)
def test_the_launchers_shell_is_not_an_argument_of_our_entry_point(config):
    """Ray runs `docker run … IMAGE bash`; the image's entry point would take that as a subcommand of `loretta`."""
    assert re.search(r'"bash",\n', (RAY / "autoscaler" / "_private" / "docker.py").read_text())
    assert "--entrypoint=/usr/bin/env" in config["docker"]["run_options"]
