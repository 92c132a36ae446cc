"""Who is let into a Ray, and who is not. (A real one that refuses a token: test_sweep.py.)"""

import os
import socket
import time

import pytest

from jobs.execution.connection import knock as module
from jobs.execution.connection.knock import knock, take_token
from loretta_core.errors import ConfigError


@pytest.mark.integration
def test_what_listens_and_is_no_ray_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(module, "ANSWER_S", 0.3)
    with socket.create_server(("", 0)) as stranger:
        address = f"127.0.0.1:{stranger.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(ConfigError, match=rf"RAY_ADDRESS = {address}: no Ray there lets us in \(no answer within 0.3 s\); start it"):
            knock(address)
    assert time.monotonic() - begun < 30  # what remains is the import of Ray


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ({}, None),
        ({"RAY_AUTH_TOKEN": "x"}, "token"),
        ({"RAY_AUTH_TOKEN": "x", "RAY_AUTH_MODE": "disabled"}, "disabled"),
        ({"RAY_AUTH_TOKEN_PATH": __file__}, "token"),
    ],
)
def test_auto_takes_a_token_that_is_there(given, mode, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "environ", {"HOME": str(tmp_path), **given})
    take_token()
    assert os.environ.get("RAY_AUTH_MODE") == mode
