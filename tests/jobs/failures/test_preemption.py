"""SIGTERM in a process whose main thread has a handler of its own: the first sets a flag, the second ends the process as before."""

import signal
import subprocess
import sys

OWNER = """
import os, signal, sys, threading, time

signal.signal(signal.SIGTERM, lambda number, frame: os._exit(77))  # as Ray's in a worker

def compute():
    from jobs.failures import preemption
    preemption.install_handler()
    preemption.install_handler()  # a second cell in this process
    print("installed", flush=True)
    while not preemption.preemption_requested():
        time.sleep(0.01)
    print("requested", flush=True)

threading.Thread(target=compute, daemon=True).start()
while True:
    time.sleep(0.05)
"""


def test_the_first_sigterm_asks_and_the_second_ends():
    process = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "installed\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "requested\n"
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 77
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
