"""Metrics of a running Ray: the alerts and the dashboard ask only for those that exist, with their labels."""

import re
import subprocess
import sys

import pytest

from tests.docker.test_monitoring import EXPRESSIONS, names
from tests.jobs.head import ray_head
from tests.jobs.test_sweep import shared

pytestmark = [pytest.mark.ray, pytest.mark.slow]

# An actor, one that dies, and a placement group; then the node's metrics, once all are there.
PROBE = """
import os, time, urllib.request
import ray

@ray.remote
class Actor:
    def stay(self): return os.getpid()
    def die(self): os._exit(1)

ray.init(logging_level="ERROR", log_to_driver=False)
kept, lost = Actor.options(num_cpus=0).remote(), Actor.options(num_cpus=0, max_restarts=0).remote()
ray.get(kept.stay.remote())
try:
    ray.get(lost.die.remote())
except ray.exceptions.RayError:
    pass
group = ray.util.placement_group([{"CPU": 0.1}])
ray.get(group.ready())
(node,) = ray.nodes()
for _ in range(60):
    text = urllib.request.urlopen(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics").read().decode()
    if "unexpected_worker_failure_total" in text and "ray_placement_groups{" in text and "ray_node_cpu_count{" in text:
        break
    time.sleep(1)
print(text)
"""

NOT_CAUSED = {"ray_memory_manager_worker_eviction_total"}
"""Counters that Ray exports only after the first event."""


def live_metrics():
    """Return the labels of all samples of each metric of a running Ray."""
    with ray_head(cpus=2) as head:
        done = subprocess.run([sys.executable, "-c", PROBE], env=shared(head), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = {}
    for name, labels in re.findall(r"^(\w+)\{(.*)\} \S+$", done.stdout, re.MULTILINE):
        found.setdefault(name, []).append(dict(re.findall(r'(\w+)="([^"]*)"', labels)))
    return found


def selectors(expression):
    """Return name and labels of every `name{label="value", …}` in an expression."""
    return [(name, dict(re.findall(r'(\w+)="([^"]*)"', labels))) for name, labels in re.findall(r"\b(ray_\w+)\{([^}]*)\}", expression)]


def test_ray_exports_what_is_asked_for_with_these_labels():
    found = live_metrics()
    asked = {name for expression in EXPRESSIONS for name in names(expression) if name.startswith("ray_") and not re.search("gpu|gram", name)}
    assert asked - found.keys() == NOT_CAUSED
    for expression in EXPRESSIONS:
        for name, labels in selectors(expression):
            if labels.get("Name") != "GPU":
                assert any(labels.items() <= sample.items() for sample in found[name]), (expression, found[name])
        for label, name in re.findall(r"by \((\w+)\) \((ray_\w+)\)", expression):
            assert label == "instance" or all(label in sample for sample in found[name]), (expression, found[name])  # that one is Prometheus' own
