"""Which requests a server of this machine answers: by the names in ``Host`` and ``Origin``.

A page of another origin may send requests to this machine: to a name of its own that leads here (DNS rebinding), by a
form, or from its script. What browsers write into these two headers tells all of them from what a person asks for.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


def admits_host(host: str, names: Collection[str] = ()) -> bool:
    """Whether a server is asked for under a name of this machine, or one of ``names``; ``host`` is that header."""
    name = _name_of(host)
    return name in LOOPBACK_NAMES or name in names


def admits_origin(origin: str | None, host: str, names: Collection[str] = ()) -> bool:
    """Whether a request was sent from the server's own pages; programs that are no browsers name no origin."""
    if origin is None:
        return True
    sent_from = urlsplit(origin).netloc
    return bool(sent_from) and (sent_from == host or _name_of(sent_from) in names)


def _name_of(host: str) -> str:
    """The name in ``name:port``, in small letters; an IPv6 address keeps its brackets."""
    name, bracket, _ = host.partition("]")
    return (name + bracket if bracket else host.partition(":")[0]).casefold()
