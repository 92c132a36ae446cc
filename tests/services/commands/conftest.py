"""A server in this process, for the commands that talk to one."""

import socket
import threading
import time

import pytest
import uvicorn

from services.app import add_request_guard


@pytest.fixture
def served(serve_api, application, monkeypatch):
    """Serve the application on a free port, which LORETTA_SERVER names."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve_api()
    settings = application.state.services.settings.model_copy(update={"allowed_hosts": (f"127.0.0.1:{port}",)})
    server = uvicorn.Server(uvicorn.Config(add_request_guard(application, settings), port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    monkeypatch.setenv("LORETTA_SERVER", f"http://127.0.0.1:{port}")
    monkeypatch.delenv("LORETTA_TOKEN", raising=False)
    yield
    server.should_exit = True
    thread.join(10)
