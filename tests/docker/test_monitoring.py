"""Prometheus, its alerts and our Grafana dashboard: every metric is one that the installed Ray exports, every expression is PromQL, every target exists."""

import json
import re

import pytest
import yaml

from tests.docker.test_compose import FOLDER, RAY, SERVICES

DASHBOARD = json.loads((FOLDER / "grafana" / "dashboards" / "loretta.json").read_text())
PROMETHEUS = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yaml").read_text())
RULES = [rule for group in yaml.safe_load((FOLDER / "prometheus" / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
EXPRESSIONS = [*(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]), *(rule["expr"] for rule in RULES)]


def metrics_of_ray():
    """Return the metrics in Ray's sources: gauges of node agents and autoscaler, and those of its own dashboards (the C++ core's are only there)."""
    reporter = (RAY / "dashboard" / "modules" / "reporter" / "reporter_agent.py").read_text()
    autoscaler = (RAY / "autoscaler" / "_private" / "prom_metrics.py").read_text()
    boards = "".join(path.read_text() for path in (RAY / "dashboard" / "modules" / "metrics" / "dashboards").glob("*_panels.py"))
    node = {f"ray_{name}" for name in re.findall(r'Gauge\(\s*"(\w+)"', reporter)}
    scaling = {f"autoscaler_{name}" for name in re.findall(r'(?:Gauge|Counter|Histogram)\(\s*"(\w+)"', autoscaler)}
    return node | scaling | set(re.findall(r"\b(?:ray|autoscaler)_\w+", boards))


def names(expression):
    return set(re.findall(r"\b(?:ray|autoscaler)_\w+", expression))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_is_one_of_rays(expression):
    assert names(expression) or expression.startswith("up{")
    assert names(expression) <= metrics_of_ray()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_parsing_every_expression_as_promql_does_not_raise(expression):
    parser = pytest.importorskip("promql_parser", reason="pip install promql-parser (extra `manifests`)")
    parser.parse(expression)


def test_prometheus_asks_services_that_exist_at_ports_that_they_open():
    metrics_port = {int(word.partition("=")[2]) for name in ("ray-head", "ray-worker") for word in SERVICES[name]["command"] if "metrics-export" in word}
    jobs = {job["job_name"]: job for job in PROMETHEUS["scrape_configs"]}
    (nodes,) = jobs["ray-nodes"]["dns_sd_configs"]
    assert {nodes["port"]} == metrics_port
    assert set(nodes["names"]) <= set(SERVICES)
    (target,) = jobs["ray-autoscaler"]["static_configs"][0]["targets"]
    assert target == f"ray-head:{SERVICES['ray-head']['environment']['AUTOSCALER_METRIC_PORT']}"
    selected = {name for expression in EXPRESSIONS for name in re.findall(r'job="([\w-]+)"', expression)}
    assert selected <= set(jobs)


def test_files_are_where_they_are_looked_for():
    mounts = dict(volume.removesuffix(":ro").rsplit(":", 1)[::-1] for name in ("prometheus", "grafana") for volume in SERVICES[name]["volumes"])

    def local(path):
        at = max((mount for mount in mounts if path.startswith(mount)), key=len)
        return FOLDER / mounts[at] / path[len(at) :].lstrip("/")

    config = next(word.partition("=")[2] for word in SERVICES["prometheus"]["command"] if word.startswith("--config.file"))
    assert local(config).is_file()
    assert all(local(path).is_file() for path in PROMETHEUS["rule_files"])
    (provider,) = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/loretta.yaml").read_text())["providers"]
    assert list(local(provider["options"]["path"]).glob("*.json"))


def test_the_dashboard_asks_the_datasource_that_is_provisioned():
    (source,) = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    used = {each["datasource"]["uid"] for panel in DASHBOARD["panels"] for each in (panel, *panel["targets"])}
    assert used == {source["uid"]}
    assert re.fullmatch(r"http://prometheus:9090", source["url"])
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["description"] for panel in DASHBOARD["panels"])


def test_every_alert_says_what_to_do():
    for rule in RULES:
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert {"summary", "description"} <= set(rule["annotations"]), rule["alert"]
