"""SIGTERM in a process whose main thread belongs to somebody else: the first sets a flag, the second ends it as before."""

import signal
import subprocess
import sys

OWNER = """
import os, signal, sys, threading, time

signal.signal(signal.SIGTERM, lambda number, frame: os._exit(77))  # whose main thread it is has a handler already

def compute():
    from jobs import preemption
    preemption.listen()
    preemption.listen()  # a second cell in this process
    print("listening", flush=True)
    while not preemption.told():
        time.sleep(0.01)
    print("told", flush=True)

threading.Thread(target=compute, daemon=True).start()
while True:
    time.sleep(0.05)
"""


def test_the_first_sigterm_asks_and_the_second_ends():
    process = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "listening\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "told\n"
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 77
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
