"""`loretta doctor`: check versions, GPUs and disk of this machine, and print all findings as text or JSON.

Ray, MLflow and output directories are checked by `jobs.diagnostics.health`. Like sweep.py, one of the modules that import `jobs`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from loretta_core.findings import Finding
from loretta_core.report.units import counted
from services.queries.kept_records import describe, kept_records

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
"""Versions that the project is tested with; the file exists in a checkout, not in an installed wheel."""

MIN_FREE_BYTES = 2_000_000_000
"""Room that the checkpoints and adapters of a sweep need."""

GPU_QUERY = ("nvidia-smi", "--query-gpu=name,memory.free,memory.total", "--format=csv,noheader,nounits")


def diagnose(out: Path, *, fix: bool, as_json: bool) -> int:
    """Print what is wrong with this machine and an output directory; return the exit code."""
    from jobs.diagnostics.health import examine

    text, code = show([*machine_findings(out), *examine(out, fix=fix)], as_json=as_json)
    print(text)
    return code


def show_migration(out: Path, *, as_json: bool) -> int:
    """Print which records of an output directory of an earlier version can be kept; return the exit code. Changes nothing."""
    kept = kept_records(out)
    print(json.dumps(asdict(kept), indent=1, ensure_ascii=False) if as_json else "\n".join(describe(kept, out=out)))
    return 0


def machine_findings(out: Path) -> Iterator[Finding]:
    """Check versions, GPUs and disk."""
    yield versions(pins(CONSTRAINTS), installed=installed_versions())
    yield gpus()
    yield disk(out)


def show(findings: Sequence[Finding], *, as_json: bool) -> tuple[str, int]:
    """Return the findings as text or JSON, and the exit code: 1 when a problem is left."""
    problems = [finding for finding in findings if finding.state == "problem"]
    code = 1 if problems else 0
    if as_json:
        return json.dumps({"healthy": not problems, "findings": [asdict(finding) for finding in findings]}, indent=1, ensure_ascii=False), code
    lines = [line for finding in findings for line in _lines(finding)]
    return "\n".join([*lines, "", f"{counted(len(problems), 'problem')} found" if problems else "healthy"]), code


def pins(path: Path) -> dict[str, str]:
    """Return the version of every package in a constraints file, nothing when there is no file."""
    if not path.is_file():
        return {}
    found = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;#]+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {_normalize(name): version for name, version in found}


def installed_versions() -> dict[str, str]:
    """Return the version of every package in this environment."""
    return {_normalize(name): package.version for package in metadata.distributions() if (name := package.metadata["Name"])}


def versions(pinned: Mapping[str, str], *, installed: Mapping[str, str]) -> Finding:
    """Compare installed with pinned versions. Packages that are not installed belong to extras; `2.13.0+cpu` and `2.13.0+cu126` are builds of one version."""
    if not pinned:
        return Finding("versions", "ok", "not compared: no constraints.txt beside this installation")
    present = [name for name in pinned if name in installed]
    others = [f"{name} {installed[name]} (tested: {pinned[name]})" for name in present if installed[name].partition("+")[0] != pinned[name].partition("+")[0]]
    if not others:
        return Finding("versions", "ok", f"{counted(len(present), 'package')} as in constraints.txt")
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return Finding("versions", "problem", ", ".join(others[:5]) + more, "pip install -c constraints.txt -e '.[train,services]'")


def gpus() -> Finding:
    """Report the GPUs that the driver sees, with their free memory."""
    if shutil.which(GPU_QUERY[0]) is None:
        return Finding("gpu", "ok", "no NVIDIA driver here: cells compute on the CPU")
    try:
        answer = subprocess.run(GPU_QUERY, capture_output=True, text=True, timeout=30, check=True).stdout
    except (subprocess.SubprocessError, OSError) as error:
        return Finding("gpu", "problem", f"nvidia-smi fails ({type(error).__name__})", "run nvidia-smi; reinstall or reload the driver")
    rows = [[part.strip() for part in line.split(",")] for line in answer.splitlines() if line.strip()]
    return Finding("gpu", "ok", "; ".join(f"{name}: {free} of {total} MiB free" for name, free, total in rows) or "none")


def disk(out: Path) -> Finding:
    """Report the free room where results are written."""
    place = next(directory for directory in [out.resolve(), *out.resolve().parents] if directory.is_dir())
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.1f} GB free at {place}"
    if free >= MIN_FREE_BYTES:
        return Finding("disk", "ok", text)
    return Finding("disk", "problem", text, f"make room for at least {MIN_FREE_BYTES / 1e9:g} GB, or give another directory with --out")


def _lines(finding: Finding) -> list[str]:
    return [f"{finding.state:8} {finding.what}: {finding.text}", *([f"         → {finding.advice}"] if finding.advice else [])]


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
