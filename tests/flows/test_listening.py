"""A port that somebody else listens at is named, with what could not be done for it."""

import pytest

from flows.listening import listening_socket
from stxmdist.errors import InputError


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_listens_and_refuses_the_port_that_is_taken(host: str) -> None:
    try:
        first = listening_socket(host, 0, "the pages cannot be served there")
    except InputError:
        pytest.skip(f"this machine has no {host}")
    with first:
        port = first.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port}.*the pages cannot be served there"):
            listening_socket(host, port, "the pages cannot be served there")
