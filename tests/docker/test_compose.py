"""docker/compose.yaml, read as Docker reads it and held against what it starts: images, flags, ports, addresses, secrets, health."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from fastapi.testclient import TestClient

import services.server.serve
from cluster.make_secrets import make
from services.app import add_request_guard, create_app
from services.cli import main
from tests.docker.test_train_dockerfile import ROOT

FOLDER = ROOT / "docker"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = {"loretta-train:0.1.0": "docker/train.Dockerfile", "loretta-services:0.1.0": "docker/services.Dockerfile"}

RAY = Path(find_spec("ray").origin).parent
"""Read, not imported: its sources say the same after 20 ms instead of seconds."""


def options_of_ray_start():
    """Return the options of `ray start` from the decorators above its function."""
    source = (RAY / "scripts" / "scripts.py").read_text()
    decorators = source[source.rindex("@cli.command", 0, source.index("\ndef start(")) : source.index("\ndef start(")]
    return set(re.findall(r'"(--[a-z-]+)"', decorators))


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_hardened_and_limited(name):
    service = SERVICES[name]
    tag = service["image"].rpartition(":")[2]
    assert re.search(r"\d+\.\d+|\d{4}-\d\d-\d\d", tag), f"{service['image']}: not pinned"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert "healthcheck" in service or service["restart"] == "no"
    assert not service.get("privileged")
    assert all(address.startswith("127.0.0.1:") for address in service.get("ports", ()))


def test_our_images_are_built_from_our_files_with_the_projects_version():
    built = {service["image"]: service["build"] for service in SERVICES.values() if "build" in service}
    assert {image: build["dockerfile"] for image, build in built.items()} == OURS
    assert all((FOLDER / build["context"] / build["dockerfile"]).is_file() for build in built.values())
    assert {image.rpartition(":")[2] for image in built} == {re.search(r'version = "(.+)"', (ROOT / "pyproject.toml").read_text())[1]}


def test_what_is_named_exists():
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        for dependency, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_completed_successfully" or "healthcheck" in SERVICES[dependency], name
        assert set(service.get("networks", ())) <= set(COMPOSE["networks"]), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (FOLDER / source).is_dir(), volume
    hosts = {found for service in SERVICES.values() for found in re.findall(r"//(?:\w+@)?([a-z-]+):\d+", yaml.safe_dump(service))}
    assert hosts <= set(SERVICES), "an address names a service that does not exist"


def test_secrets_come_from_files_that_the_script_makes(tmp_path):
    make(tmp_path / "secrets")
    declared = {name: Path(each["file"]).name for name, each in COMPOSE["secrets"].items()}
    assert all((tmp_path / "secrets" / file).is_file() for file in declared.values())
    used = [secret if isinstance(secret, str) else secret["source"] for service in SERVICES.values() for secret in service.get("secrets", ())]
    assert set(used) == set(declared)
    text = (FOLDER / "compose.yaml").read_text()
    for name in re.findall(r"/(?:run/secrets|tmp/loretta-secrets)/([\w.]+)", text):
        assert name in declared, f"{name} is read and not mounted"
    variables = {key: value for service in SERVICES.values() for key, value in service.get("environment", {}).items()}
    loose = [key for key, value in variables.items() if re.search("PASSWORD|TOKEN|SECRET", key) and "/" not in str(value)]
    assert not loose, "a secret in the environment"


def test_a_service_gets_only_the_secrets_that_it_names():
    for name, service in SERVICES.items():
        mounted = {secret if isinstance(secret, str) else secret["source"] for secret in service.get("secrets", ())}
        named = set(re.findall(r"/(?:run/secrets|tmp/loretta-secrets)/([\w.]+)", yaml.safe_dump({key: service[key] for key in service if key != "secrets"})))
        assert named == mounted - {"mlflow_credentials"}, name  # that one is mounted where MLflow looks for it


def test_ray_is_started_with_options_that_it_has():
    options = options_of_ray_start()
    for name in ("ray-head", "ray-worker"):
        service = SERVICES[name]
        assert service["entrypoint"][:3] == ["with-secrets.sh", "ray", "start"]
        words = [*service["entrypoint"][3:], *service["command"]]
        assert not [word for word in words if word.partition("=")[0] not in options], name
        assert "--block" in words
        assert service["environment"]["RAY_AUTH_MODE"] == "token"


def test_the_health_addresses_of_ray_need_no_token():
    source = (RAY / "dashboard" / "http_server_head.py").read_text()
    for name in ("ray-head", "ray-worker"):
        (path,) = re.findall(r"http://127.0.0.1:\d+(/api/\w+)", yaml.safe_dump(SERVICES[name]["healthcheck"], width=1000))
        assert f'"{path}"' in source


def test_the_servers_start_as_the_file_says(tmp_path, monkeypatch):
    """The command, the environment and the secrets of the file through the real script and the real command line, up to the moment of starting."""
    make(tmp_path / "secrets")
    private = tmp_path / "private"
    environment = {"LORETTA_SECRETS": str(tmp_path / "secrets"), "LORETTA_PRIVATE": str(private), "PATH": "/usr/bin:/bin"}
    subprocess.run([FOLDER / "with-secrets.sh", "true"], env=environment, check=True)
    (tmp_path / "data").mkdir()
    service = SERVICES["services"]

    def here(text):
        return text.replace("/tmp/loretta-secrets", str(private)).replace("/data", str(tmp_path / "data"))

    for name, value in service["environment"].items():
        monkeypatch.setenv(name, here(value))
    monkeypatch.setattr("socket.gethostname", lambda: service["hostname"])
    started = []
    monkeypatch.setattr(services.server.serve, "serve_until_stopped", lambda mlflow, api: started.append((mlflow, api)) or 0)
    words = [here(word) for word in service["command"]]
    assert words[0] == "loretta"
    assert main(["0" if words[1:][index - 1] in ("--port", "--mlflow-port") and index else word for index, word in enumerate(words[1:])]) == 0
    ((mlflow, api),) = started

    assert mlflow.authenticated
    assert mlflow.store == "postgresql+psycopg2://mlflow@postgres:5432/mlflow"
    assert f"services:{mlflow.port}" in mlflow.allowed_hosts
    assert api.tracking_uri == f"http://services:{mlflow.port}"
    assert api.tokens_required
    assert api.ray == "http://ray-head:8265"
    client = TestClient(add_request_guard(create_app(api), api), base_url=f"http://127.0.0.1:{api.port}")
    (path,) = re.findall(r"8000(/\S+?)'", yaml.safe_dump(service["healthcheck"], width=1000))
    assert client.get(path).status_code == 200
    assert client.get("/api/v1/sweeps").status_code == 401
    token = (tmp_path / "secrets" / "api_token").read_text()
    assert client.get("/api/v1/sweeps", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_ports_are_those_that_are_listened_on():
    command = SERVICES["services"]["command"]
    listened = {command[command.index(flag) + 1] for flag in ("--port", "--mlflow-port")}
    assert {address.rpartition(":")[2] for address in SERVICES["services"]["ports"]} == listened
    exposed = re.search(r"^EXPOSE (.+)$", (FOLDER / "services.Dockerfile").read_text(), flags=re.MULTILINE)[1].split()
    assert set(exposed) == listened


def test_the_gpu_file_changes_a_service_that_exists():
    override = yaml.safe_load((FOLDER / "compose.gpu.yaml").read_text())["services"]
    assert set(override) <= set(SERVICES)


def test_secrets_script_keeps_what_exists_and_refuses_an_open_directory(tmp_path):
    target = tmp_path / "secrets"
    assert "ray_token" in make(target)
    before = {path.name: path.read_text() for path in target.iterdir()}
    assert make(target) == []
    assert {path.name: path.read_text() for path in target.iterdir()} == before
    assert len({before[name] for name in before if name.endswith(("_password", "_token"))}) == 6
    target.chmod(0o755)
    done = subprocess.run([sys.executable, ROOT / "cluster" / "make_secrets.py", target], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout) == (2, "")
    assert f"chmod 700 {target}" in done.stderr
