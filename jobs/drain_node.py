"""`python -m jobs.drain_node`: this node is about to be taken away. Nothing more begins on it; what it computes is saved, and goes on elsewhere.

    drain the node ─► Ray places nothing on it any more
    SIGTERM to its processes that compute cells ─► they save at their next step and end (`failures/preemption.py`)
    wait until they are gone

For a preStop hook of Kubernetes, or when a spot machine gets its notice. On the node itself, while its raylet lives. Needs Ray's token, as every node has it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

COMPUTING = ("ray::RayTrainWorker", "ray::ImplicitFunc")
"""Titles that Ray gives to workers of a group and to trials."""

SECONDS = 90.0


@dataclass(frozen=True)
class Raylet:
    """A node's, as its command line says."""

    process: psutil.Process
    node_id: str
    gcs_address: str

    def computing(self) -> list[psutil.Process]:
        """Its workers that compute cells, or wait for some."""
        return [child for child in self.process.children() if _command(child)[:1] and _command(child)[0].startswith(COMPUTING)]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit codes: 0 nothing computes here any more, 1 something still does, 2 there is no such node."""
    options = parser().parse_args(arguments)
    found = [raylet for raylet in raylets() if options.node in ("", raylet.node_id)]
    if len(found) != 1:
        ids = "".join(f"\n  {raylet.node_id}" for raylet in found)
        print(
            f"error: expected one Ray node here{f' with id {options.node}' * bool(options.node)}, found {len(found)}; --node says which{ids}", file=sys.stderr
        )
        return 2
    (raylet,) = found
    drain(raylet, within_s=options.within)
    left = end(raylet.computing(), within_s=options.within)
    if left:
        print(f"error: {left} of its processes did not end within {options.within:g} s; what they compute goes on from an older checkpoint", file=sys.stderr)
    return 1 if left else 0


def raylets() -> list[Raylet]:
    """Of all nodes that run on this machine, or in this container."""
    found = []
    for process in psutil.process_iter():
        program, *words = _command(process) or [""]
        if program.endswith("/raylet"):
            options = dict(word.removeprefix("--").split("=", 1) for word in words if word.startswith("--") and "=" in word)
            found.append(Raylet(process, options["node_id"], options["gcs-address"]))
    return found


def drain(raylet: Raylet, *, within_s: float) -> None:
    """Tell Ray to place nothing on the node; says so when Ray does not take it, and goes on."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "drain-node", f"--address={raylet.gcs_address}", f"--node-id={raylet.node_id}"]
    command += ["--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=the node is taken away", f"--deadline-remaining-seconds={within_s:.0f}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"the node cannot be drained ({reason}); what it computes may begin again here", file=sys.stderr)


def end(processes: Sequence[psutil.Process], *, within_s: float) -> int:
    """SIGTERM, and wait; how many are still there."""
    for process in processes:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return len(alive)


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = argparse.ArgumentParser(prog="python -m jobs.drain_node", description="Save what this Ray node computes, and place nothing on it any more.")
    made.add_argument("--within", type=float, default=SECONDS, metavar="SECONDS", help="how long it may take (default: %(default)g)")
    made.add_argument("--node", default="", metavar="ID", help="which node, where several run on this machine")
    return made


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it is gone, or not ours
        return []


if __name__ == "__main__":
    sys.exit(main())
