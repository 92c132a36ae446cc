"""RAY_ADDRESS is checked before Ray is asked."""

import socket

import pytest

from jobs.execution.connection.ray_address import check_address
from loretta_core.errors import ConfigError


def test_auto_and_an_address_where_somebody_listens_are_left_to_ray():
    check_address("auto")
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_address(f"127.0.0.1:{server.getsockname()[1]}")
        check_address(f"localhost:{server.getsockname()[1]}")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("foo", "no address; expected HOST:PORT"),
        (":6379", "no address"),
        ("127.0.0.1", "no address"),
        ("http://127.0.0.1:8265", "no address"),
        ("127.0.0.1:6379\n", "no address"),
        ("127.0.0.1:99999", "nobody listens there"),
        ("no.such.host.invalid:6379", "nobody listens there"),
        ("ray://127.0.0.1:10001", "Ray Client"),
    ],
)
def test_anything_else_is_refused_in_a_line_that_says_what_to_do(address, words):
    with pytest.raises(ConfigError) as error:
        check_address(address)
    message = str(error.value)
    assert message.startswith("RAY_ADDRESS = ")
    assert words in message
    assert "RAY_ADDRESS" in message.partition(";")[2]
