"""cluster/kuberay: what the overlays make, against the schemas of Kubernetes and KubeRay and against what the containers run. No cluster needed."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import PurePosixPath

import jsonschema
import pytest
import yaml

from cluster.make_secrets import DERIVED, RANDOM
from jobs import drain_node
from jobs.sweep import parser
from loretta_core.config import load_sweep
from tests.cluster.kustomized import build, containers, pods
from tests.docker.test_compose import SERVICES as COMPOSE
from tests.docker.test_compose import options_of_ray_start
from tests.paths import ROOT

KUBERAY = ROOT / "cluster" / "kuberay"
OVERLAYS = ("local", "gpu")
MADE = {name: build(KUBERAY / "overlays" / name) for name in OVERLAYS}
EVERYTHING = [pytest.param(manifest, id=f"{name}-{manifest['kind']}-{manifest['metadata']['name']}") for name in OVERLAYS for manifest in MADE[name]]
PODS = [pytest.param(*pod, id=f"{name}-{manifest['metadata']['name']}-{pod[0]}") for name in OVERLAYS for manifest in MADE[name] for pod in pods(manifest)]
SCHEMAS = next((folder for parent in ROOT.parents if (folder := parent / "shared" / "schemas" / "kuberay").is_dir()), None)
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def only(kind, name=None, *, overlay="local"):
    (found,) = [each for each in MADE[overlay] if each["kind"] == kind and name in (None, each["metadata"]["name"])]
    return found


def ray_clusters():
    return [manifest["spec"].get("rayClusterSpec", manifest["spec"]) for name in OVERLAYS for manifest in MADE[name] if manifest["kind"].startswith("Ray")]


@pytest.mark.parametrize("manifest", [each for each in EVERYTHING if each.values[0]["apiVersion"].partition("/")[0] not in ("ray.io", "kueue.x-k8s.io")])
def test_validating_kubernetes_kinds_does_not_raise(manifest):
    validator = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate (extra `manifests`)")
    for version in ("1.32", validator.latest_version()):
        validator.validate(manifest, version, strict=True)


@pytest.mark.parametrize("manifest", [each for each in EVERYTHING if each.values[0]["kind"].startswith("Ray")])
def test_validating_kuberay_kinds_does_not_raise(manifest):
    if SCHEMAS is None:
        pytest.skip("no schemas of KubeRay in ../shared/schemas/kuberay")
    file = {"RayCluster": "rayclusters.json", "RayJob": "rayjobs.json"}[manifest["kind"]]
    schema = closed(json.loads((SCHEMAS / file).read_text())["openAPIV3Schema"])
    jsonschema.Draft202012Validator(schema).validate(manifest)


def closed(schema):
    """An unknown field is a mistake; OpenAPI lets it pass, and Kubernetes drops it without a word."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if isinstance(made.get("properties"), dict) and "additionalProperties" not in made and not made.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = False
    if made.pop("x-kubernetes-int-or-string", False):
        made = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    return made


def test_validating_pods_inside_ray_manifests_does_not_raise():
    """KubeRay's own schema stops at some depth; a pod is a pod."""
    validator = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate (extra `manifests`)")
    for name in OVERLAYS:
        for manifest in MADE[name]:
            for where, metadata, spec in pods(manifest):
                pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": where.lower(), **metadata}, "spec": spec}
                validator.validate(pod, "1.32", strict=True)


@pytest.mark.parametrize("name", OVERLAYS)
def test_kubectl_makes_the_same(name):
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl")
    done = subprocess.run(["kubectl", "kustomize", KUBERAY / "overlays" / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    def bare(manifest):
        labels = {key: value for key, value in manifest["metadata"].get("labels", {}).items() if key != "app.kubernetes.io/part-of"}
        return {**manifest, "metadata": {**manifest["metadata"], "labels": labels}}

    def sort_key(manifest):
        return manifest["kind"], manifest["metadata"]["name"]

    theirs = sorted(map(bare, yaml.safe_load_all(done.stdout)), key=sort_key)
    assert theirs == sorted(map(bare, MADE[name]), key=sort_key)


def test_only_what_lives_in_a_namespace_has_one():
    everywhere = {"Namespace", "PriorityClass", "WorkloadPriorityClass", "ResourceFlavor", "ClusterQueue"}
    for name in OVERLAYS:
        for manifest in MADE[name]:
            assert ("namespace" in manifest["metadata"]) is (manifest["kind"] not in everywhere), manifest["kind"]


def test_versions_agree():
    ray = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)[1]
    assert {cluster["rayVersion"] for cluster in ray_clusters()} == {ray}
    images = {container["image"] for manifests in MADE.values() for container in containers(manifests)}
    assert {image.rpartition(":")[2] for image in images if "loretta" in image} == {VERSION}
    assert {image for image in images if "loretta" not in image} == {COMPOSE["postgres"]["image"]}


@pytest.mark.parametrize(("where", "metadata", "spec"), PODS)
def test_no_pod_may_more_than_it_needs(where, metadata, spec):
    """The rules of Pod Security "restricted", which the namespace enforces, and limits."""
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert spec["automountServiceAccountToken"] is (spec["serviceAccountName"] == "loretta-autoscaler")
    for container in spec["containers"]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert "memory" in container["resources"]["limits"]
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert not [each for each in container.get("env", ()) if re.search("(PASSWORD|TOKEN|SECRET)$", each["name"])], "a secret in the environment"
    if "loretta" in spec["containers"][0]["image"]:
        user = re.search(r"^USER (\d+)$", (ROOT / "docker" / "services.Dockerfile").read_text(), flags=re.MULTILINE)[1]
        assert security["runAsUser"] == int(user)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_named_exists(overlay):
    names = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in MADE[overlay]}
    files = {*RANDOM, *DERIVED, "tokens.json"}
    for manifest in MADE[overlay]:
        for where, _, spec in pods(manifest):
            assert ("ServiceAccount", spec["serviceAccountName"]) in names
            assert spec.get("priorityClassName") is None or ("PriorityClass", spec["priorityClassName"]) in names
            volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
            claimed = {each["metadata"]["name"] for each in manifest["spec"].get("volumeClaimTemplates", ())} if manifest["kind"] == "StatefulSet" else set()
            for container in spec["containers"]:
                assert {mount["name"] for mount in container.get("volumeMounts", ())} <= set(volumes) | claimed, where
            for volume in volumes.values():
                if "persistentVolumeClaim" in volume:
                    assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in names
                if "secret" in volume:
                    assert volume["secret"]["secretName"] == "loretta"
                    assert {item["key"] for item in volume["secret"]["items"]} <= files
    role = only("RoleBinding", overlay=overlay)
    assert (role["roleRef"]["kind"], role["roleRef"]["name"]) in names
    assert all((subject["kind"], subject["name"]) in names for subject in role["subjects"])
    assert role["subjects"][0]["namespace"] == only("Namespace", overlay=overlay)["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_services_and_policies_select_pods_that_exist(overlay):
    labels = [metadata["labels"] for manifest in MADE[overlay] for _, metadata, _ in pods(manifest)]

    def hits(selector):
        return any(selector.get("matchLabels", selector).items() <= each.items() for each in labels)

    for manifest in MADE[overlay]:
        if manifest["kind"] == "Service":
            assert hits(manifest["spec"]["selector"])
        if manifest["kind"] == "PodDisruptionBudget":
            assert hits(manifest["spec"]["selector"])
        if manifest["kind"] == "NetworkPolicy":
            assert hits(manifest["spec"]["podSelector"])
            own = [peer["podSelector"] for rule in manifest["spec"].get("ingress", ()) for peer in rule["from"] if set(peer) == {"podSelector"}]
            assert all(map(hits, own))


def test_ports_agree():
    """Ports of containers, Services and NetworkPolicies agree."""
    deployment = only("Deployment")["spec"]["template"]["spec"]["containers"][0]
    args = deployment["args"]
    ports = {args[args.index(flag) + 1] for flag in ("--port", "--mlflow-port")}
    assert {str(each["containerPort"]) for each in deployment["ports"]} == ports == {str(each["port"]) for each in only("Service", "loretta")["spec"]["ports"]}
    heads = {each["containerPort"] for cluster in ray_clusters() for container in containers(cluster["headGroupSpec"]) for each in container["ports"]}
    rules = only("NetworkPolicy", "ray")["spec"]["ingress"]
    assert {each["port"] for rule in rules for each in rule.get("ports", ())} <= heads
    assert only("NetworkPolicy", "services")["spec"]["ingress"][0]["ports"][0]["port"] == int(args[args.index("--mlflow-port") + 1])
    assert args[args.index("--ray") + 1] == f"http://{only('RayCluster')['metadata']['name']}-head-svc:8265"


def test_ray_is_started_with_options_that_it_has():
    options = options_of_ray_start()
    for cluster in ray_clusters():
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            assert {f"--{name}" for name in group["rayStartParams"]} <= options
            assert group["rayStartParams"]["metrics-export-port"] == "8080"
        assert cluster["authOptions"] == {"mode": "token", "secretName": "loretta-ray"}
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_a_worker_saves_its_cells_before_it_goes():
    """The hook and the end of Ray after it, which drains for half a minute, fit in the grace period."""
    for cluster in ray_clusters():
        for group in cluster["workerGroupSpecs"]:
            spec = group["template"]["spec"]
            program, *words = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
            assert (program, words[:2]) == ("python", ["-m", "jobs.drain_node"])
            assert drain_node.parser().parse_args(words[2:]).within + 30 <= spec["terminationGracePeriodSeconds"]


def test_the_job_is_a_sweep_that_loads():
    """Its words go through the real command line; the file is in the image, the address is the Service's."""
    job = only("RayJob")
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[:3] == ["python", "-m", "jobs.sweep"]
    options = parser().parse_args(words[3:])
    assert load_sweep(ROOT / PurePosixPath(options.file).relative_to("/opt/loretta")).cells
    assert str(options.out) == "/data/outputs"
    service = only("Service", "loretta")
    assert options.tracking_uri == f"http://{service['metadata']['name']}:{service['spec']['ports'][1]['port']}"
    deployment = only("Deployment")["spec"]["template"]["spec"]
    assert deployment["hostname"] == service["metadata"]["name"], "MLflow answers to its host name"
    args = deployment["containers"][0]["args"]
    assert args[args.index("--out") + 1] == str(options.out)


def test_probes_ask_what_answers_without_a_token_under_a_known_name():
    container = only("Deployment")["spec"]["template"]["spec"]["containers"][0]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        get = container[name]["httpGet"]
        assert get["path"] == {"pages": "/api/v1/health", "mlflow": "/health"}[get["port"]]
        assert get["httpHeaders"] == [{"name": "Host", "value": f"localhost:{ports[get['port']]}"}]


def test_the_environment_of_the_servers_is_that_of_compose():
    """The environment of compose is run through the real command line in tests/docker/test_compose.py."""
    container = only("Deployment")["spec"]["template"]["spec"]["containers"][0]
    variables = {each["name"]: each["value"] for each in container["env"]}
    secrets = variables.pop("LORETTA_SECRETS")
    assert {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}["secrets"] == secrets
    compose = COMPOSE["services"]["environment"]
    assert variables == {name: value for name, value in compose.items() if not name.startswith(("AWS_", "MLFLOW_S3"))}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_gang_fits_its_queue(overlay):
    """Kueue admits a job's cluster as a whole: its size must be fixed, and within the quota, or it waits for ever."""
    job, queue, local = only("RayJob", overlay=overlay), only("ClusterQueue", overlay=overlay), only("LocalQueue", overlay=overlay)
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == local["metadata"]["name"]
    assert local["spec"]["clusterQueue"] == queue["metadata"]["name"]
    assert queue["spec"]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": local["metadata"]["namespace"]}
    flavors = {manifest["metadata"]["name"] for manifest in MADE[overlay] if manifest["kind"] == "ResourceFlavor"}
    quota = {}
    for group in queue["spec"]["resourceGroups"]:
        for flavor in group["flavors"]:
            assert flavor["name"] in flavors
            assert [each["name"] for each in flavor["resources"]] == group["coveredResources"]
            for each in flavor["resources"]:
                quota[each["name"]] = quota.get(each["name"], 0) + quantity(each["nominalQuota"])
    cluster = job["spec"]["rayClusterSpec"]
    assert all(group["replicas"] == group["minReplicas"] == group["maxReplicas"] for group in cluster["workerGroupSpecs"])
    needed = {}
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        for container in group["template"]["spec"]["containers"]:
            for name, value in container["resources"]["requests"].items():
                needed[name] = needed.get(name, 0) + quantity(value) * group.get("replicas", 1)
    assert all(quota[name] >= value for name, value in needed.items())


def test_gpu_workers_are_of_different_kinds_and_start_from_none():
    groups = only("RayCluster", overlay="gpu")["spec"]["workerGroupSpecs"]
    gpus = {group["groupName"]: group for group in groups if "nvidia.com/gpu" in group["template"]["spec"]["containers"][0]["resources"]["limits"]}
    assert len({group["template"]["spec"]["nodeSelector"]["nvidia.com/gpu.product"] for group in gpus.values()}) == len(gpus) == 2
    assert all(group["minReplicas"] == 0 < group["maxReplicas"] for group in gpus.values())
    labels = [each["spec"]["nodeLabels"] for each in MADE["gpu"] if each["kind"] == "ResourceFlavor" and "nodeLabels" in each.get("spec", {})]
    assert all(group["template"]["spec"]["nodeSelector"] in labels for group in gpus.values())


def quantity(value):
    """Return a quantity of Kubernetes as cores or bytes."""
    units = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", str(value)).groups()
    return float(number) * units.get(unit, 1)


def test_the_script_makes_the_secrets_that_are_named(tmp_path):
    """Run with a kubectl that prints what it is asked."""
    (tmp_path / "kubectl").write_text('#!/bin/sh\necho "$@" >>"$LOG"\n')
    (tmp_path / "kubectl").chmod(0o755)
    copy = tmp_path / "project"
    for name in ("cluster/kuberay/secrets.sh", "cluster/kuberay/clusterwide/namespace.yaml", "cluster/make_secrets.py"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    (copy / ".venv" / "bin").mkdir(parents=True)
    (copy / ".venv" / "bin" / "python").symlink_to(sys.executable)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LOG": str(tmp_path / "log"), "PYTHONPATH": f"{ROOT}:{':'.join(sys.path)}"}
    done = subprocess.run([copy / "cluster/kuberay/secrets.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "log").read_text()
    assert "create secret generic loretta --from-file=cluster/secrets" in asked
    assert "create secret generic loretta-ray --from-file=auth_token=cluster/secrets/ray_token" in asked
    made = {path.name for path in (copy / "cluster" / "secrets").iterdir()}
    assert made == {*RANDOM, *DERIVED, "tokens.json", "api_token"}
