"""`python -m jobs.drain_node`: drain the Ray node of this machine before it is preempted: no new work starts on it, running cells save and resume elsewhere.

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

COMPUTING = ("ray::CellWorker", "ray::RayTrainWorker", "ray::ImplicitFunc")
"""Titles that Ray gives to a group of one process, to the processes of a group of several, and to trials."""

DEFAULT_TIMEOUT_S = 90.0


@dataclass(frozen=True)
class Raylet:
    """The raylet process of a Ray node, read from its command line."""

    process: psutil.Process
    node_id: str
    gcs_address: str

    def computing(self) -> list[psutil.Process]:
        """Return the workers of the node that compute cells, or wait for some."""
        return [child for child in self.process.children() if _command(child)[:1] and _command(child)[0].startswith(COMPUTING)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 when nothing computes here any more, 1 when something still does, 2 when there is no such node."""
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
    left = terminate(raylet.computing(), within_s=options.within)
    if left:
        print(f"error: {left} of its processes did not end within {options.within:g} s; what they compute goes on from an older checkpoint", file=sys.stderr)
    return 1 if left else 0


def raylets() -> list[Raylet]:
    """Return the raylets of all Ray nodes on this machine, or in this container."""
    found = []
    for process in psutil.process_iter():
        program, *words = _command(process) or [""]
        if program.endswith("/raylet"):
            options = dict(word.removeprefix("--").split("=", 1) for word in words if word.startswith("--") and "=" in word)
            found.append(Raylet(process, options["node_id"], options["gcs-address"]))
    return found


def drain(raylet: Raylet, *, within_s: float) -> None:
    """Tell Ray to place nothing on the node any more. When Ray refuses, print why and continue."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "drain-node", f"--address={raylet.gcs_address}", f"--node-id={raylet.node_id}"]
    command += ["--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=the node is taken away", f"--deadline-remaining-seconds={within_s:.0f}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"the node cannot be drained ({reason}); what it computes may begin again here", file=sys.stderr)


def terminate(processes: Sequence[psutil.Process], *, within_s: float) -> int:
    """Send SIGTERM to processes and wait for their end; return how many are left."""
    for process in processes:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return len(alive)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="python -m jobs.drain_node", description="Save what this Ray node computes, and place nothing on it any more.")
    made.add_argument("--within", type=float, default=DEFAULT_TIMEOUT_S, metavar="SECONDS", help="how long it may take (default: %(default)g)")
    made.add_argument("--node", default="", metavar="ID", help="which node, where several run on this machine")
    return made


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it is gone, or not ours
        return []


if __name__ == "__main__":
    sys.exit(main())
