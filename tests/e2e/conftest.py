"""Fixtures: a Ray head with tokens, a `loretta serve` that submits to it, and a browser, all real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.head import Head, ray_head
from tests.paths import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

SWEEP = """
name = "walk"
description = "Two methods, five steps: enough to walk through"
[defaults]
model = "toy-bert"
task = {type = "toy_sentiment", train_rows = 64, validation_rows = 64, test_rows = 64}
trainer = {type = "adam", steps = 5}
[axes]
method = ["lora", "loretta_adp"]
"""


@dataclass(frozen=True)
class Site:
    """A running `loretta serve`."""

    url: str
    mlflow: str
    out: Path
    process: subprocess.Popen[str]


@pytest.fixture(scope="session")
def head() -> Iterator[Head]:
    with ray_head(cpus=2) as running:
        yield running


@pytest.fixture
def site(head, tmp_path) -> Iterator[Site]:
    command = [sys.executable, "-m", "services.cli", "serve", "--port", "0", "--mlflow-port", "0", "--out", str(tmp_path / "out"), "--ray", head.dashboard]
    process = subprocess.Popen(command, cwd=ROOT, env=head.environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url, mlflow = (process.stdout.readline().split(": ")[1].split()[0] for _ in range(2))
        yield Site(url, mlflow, tmp_path / "out", process)
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stdout.close()


@pytest.fixture
def loretta(site, head, tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs the command against the server."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "LORETTA_SERVER": site.url}
        return subprocess.run([sys.executable, "-m", "services.cli", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # root in a container cannot have the sandbox
        yield chromium
        chromium.close()


@pytest.fixture
def artifacts(tmp_path) -> Path:
    """Return the directory of screenshots: LORETTA_ARTIFACTS, or the test's own."""
    directory = Path(os.environ.get("LORETTA_ARTIFACTS") or tmp_path / "screenshots")
    directory.mkdir(parents=True, exist_ok=True)
    return directory
