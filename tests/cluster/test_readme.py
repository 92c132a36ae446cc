"""cluster/README.md: its links, files, commands and ports exist, and so do the chapters that alerts refer to."""

import re
import shlex

import yaml

from cluster.backup import argument_parser as backup_parser
from cluster.scale import argument_parser as scale_parser
from cluster.simulate import argument_parser as simulate_parser
from tests.paths import ROOT

TEXT = (ROOT / "cluster" / "README.md").read_text()
COMMANDS = [line.split(" # ")[0].strip() for block in re.findall(r"```sh\n(.*?)```", TEXT, flags=re.DOTALL) for line in block.replace("\\\n", " ").splitlines()]


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert links
    assert not [link for link in links if "://" not in link and not (ROOT / "cluster" / link).exists()]


def test_every_file_of_a_command_exists():
    named = {word for command in COMMANDS for word in re.findall(r"(?<![\w./-])(?:/opt/loretta/)?((?:cluster|docker|jobs)/[\w./-]+)", command)}
    assert {"cluster/kuberay/secrets.sh", "cluster/kuberay/overlays/local", "cluster/scale.py", "cluster/backup.py"} <= named
    assert not [name for name in named if not name.startswith("cluster/secrets") and not (ROOT / name).exists()]


def test_parsing_every_command_of_the_readme_does_not_raise():
    for script, parser in (("scale.py", scale_parser()), ("backup.py", backup_parser()), ("simulate.py", simulate_parser())):
        for command in COMMANDS:
            if f"cluster/{script}" in command:
                words = shlex.split(re.sub(r"\$\([^)]*\)", "x", command))
                parser.parse_args(words[next(index for index, word in enumerate(words) if word.endswith(script)) + 1 :])


def test_alerts_point_at_chapters():
    rules = (ROOT / "docker" / "prometheus" / "alerts.yaml").read_text()
    chapters = set(re.findall(r'See "([^"]+)"', yaml.safe_dump(yaml.safe_load(rules), width=10000)))
    assert chapters
    assert chapters <= set(re.findall(r"^## (.+)$", TEXT, flags=re.MULTILINE))


def test_ports_of_the_forwarding_are_those_of_the_service():
    service = next(iter(yaml.safe_load_all((ROOT / "cluster" / "kuberay" / "base" / "services.yaml").read_text())))
    (forwarded,) = re.findall(r"port-forward service/(\S+) (\d+) (\d+)", TEXT)
    assert forwarded == (service["metadata"]["name"], *(str(each["port"]) for each in service["spec"]["ports"]))
