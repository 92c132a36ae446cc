"""The benchmark of the start: what counts as a step, and that processes which ended keep what they used."""

import subprocess
import sys

import psutil

from tests.benchmarks.bench_start import Start, has_stepped, lines, look


def test_a_step_is_a_loss_in_the_journal_of_a_cell(tmp_path):
    journal = tmp_path / "cells" / "abc" / "metrics.jsonl"
    journal.parent.mkdir(parents=True)
    assert not has_stepped(tmp_path)
    journal.write_text('{"step": 0, "validation_score": 0.5}\n')
    assert not has_stepped(tmp_path)
    journal.write_text('{"step": 1, "train_loss": 0.7}\n')
    assert has_stepped(tmp_path)


def test_what_ended_keeps_what_it_used():
    seen: dict[psutil.Process, float] = {}
    process = psutil.Popen([sys.executable, "-c", "for _ in range(10**6): pass\nprint(flush=True)\ninput()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    look(process, seen)
    used = seen[process]
    assert used > 0
    process.communicate(b"\n")
    look(process, seen)
    assert seen[process] >= used


def test_medians_are_shown():
    starts = [Start(first, 20.0, 15.0, 25.0, 9) for first in (9.0, 11.0, 10.0)]
    assert lines({"here": starts}) == ["here: first_step_s 10.0, first_step_cpu_s 20.0, whole_s 15.0, whole_cpu_s 25.0, processes 9.0"]
