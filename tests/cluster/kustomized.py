"""The part of kustomize that cluster/kuberay uses: resources, JSON patches with a target, images, a namespace. Twin of `kubectl kustomize`."""

from pathlib import Path

import yaml

KNOWN = {"apiVersion", "kind", "namespace", "labels", "resources", "images", "patches"}


def build(folder: Path) -> list[dict]:
    """All manifests of a kustomization. Raises for a file that is not there, a patch that hits nothing and a path that does not exist."""
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(plan) <= KNOWN, f"{folder}: extend this twin"
    manifests = []
    for name in plan["resources"]:
        path = folder / name
        manifests += build(path) if path.is_dir() else [each for each in yaml.safe_load_all(path.read_text()) if each]
    for patch in plan.get("patches", ()):
        operations = yaml.safe_load(patch["patch"] if "patch" in patch else (folder / patch["path"]).read_text())
        hit = [each for each in manifests if each["kind"] == patch["target"]["kind"] and each["metadata"]["name"] == patch["target"]["name"]]
        assert len(hit) == 1, f"{folder}: {patch['target']} hits {len(hit)} manifests"
        for operation in operations:
            apply(hit[0], operation)
    for manifest in manifests:
        if "namespace" in plan:
            manifest["metadata"]["namespace"] = plan["namespace"]
        for container in containers(manifest):
            rename(container, plan.get("images", ()))
    return manifests


def apply(manifest: dict, operation: dict) -> None:
    """One operation of RFC 6902. Replacing what is not there is an error."""
    *path, last = [part.replace("~1", "/") for part in operation["path"].strip("/").split("/")]
    place = manifest
    for part in path:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if isinstance(place, list):
        assert last == "-" if operation["op"] == "add" else int(last) < len(place), operation
        if operation["op"] == "add":
            place.append(operation["value"])
        else:
            place[int(last)] = operation["value"]
    else:
        assert operation["op"] == "add" or last in place, operation
        place[last] = operation["value"]


def rename(container: dict, images) -> None:
    """Another registry, another tag."""
    name, _, tag = container["image"].partition(":")
    for image in images:
        if image["name"] == name:
            container["image"] = f"{image.get('newName', name)}:{image.get('newTag', tag)}"
        # A second kustomization names the image as the first one left it.


def containers(value):
    """Every container, wherever it is."""
    if isinstance(value, list):
        for each in value:
            yield from containers(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key in ("containers", "initContainers"):
                yield from each
            else:
                yield from containers(each)


def pods(manifest: dict):
    """(where, metadata, spec) of every pod that a manifest makes."""
    spec = manifest.get("spec", {})
    if manifest["kind"] in ("Deployment", "StatefulSet"):
        yield manifest["kind"], spec["template"]["metadata"], spec["template"]["spec"]
    if manifest["kind"] == "RayJob":
        yield "submitter", spec["submitterPodTemplate"]["metadata"], spec["submitterPodTemplate"]["spec"]
    cluster = spec.get("rayClusterSpec", spec) if manifest["kind"] in ("RayJob", "RayCluster") else {}
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]] if cluster else []:
        kind = "worker" if "groupName" in group else "head"
        made = {"ray.io/is-ray-node": "yes", "ray.io/node-type": kind}  # KubeRay's own labels
        yield group.get("groupName", "head"), {"labels": made}, group["template"]["spec"]
