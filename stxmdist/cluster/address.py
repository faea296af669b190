"""A Dask scheduler that runs already, at the address that the campaign or the command line names."""

import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stxmdist.campaign.clusters import AnyCluster, ClusterSpec
from stxmdist.cluster.certificates import AUTHORITY, CERTIFICATE, KEY, certificates_for, security_of
from stxmdist.cluster.contract import Purpose, Started, no_scheduler, silence_dask
from stxmdist.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

PLAIN, ENCRYPTED = "tcp", "tls"
CONNECT_S = 10.0
GREETING_S = 3.0
"""A scheduler without encryption speaks first, and soon; one with encryption waits for the other side."""


def start(spec: AnyCluster, purpose: Purpose) -> Started:
    """Join it; it stays when the run is over.

    Raises
    ------
    InputError
        where nobody answers, where one side encrypts and the other does not, and where the scheduler does not know
        these certificates.
    """
    assert isinstance(spec, ClusterSpec)
    assert spec.address is not None, "without an address, the kind is local"
    silence_dask()
    scheme = urlsplit(spec.address).scheme
    if scheme == PLAIN:
        if _silent(spec.address) and _shakes_hands(spec.address):
            raise _mismatch(spec.address, "encrypted", f"Write {ENCRYPTED}:// for {PLAIN}://, and name `certificates`")
        return Started(spec.address)
    if scheme != ENCRYPTED:
        return Started(spec.address)
    folder = certificates_for(spec.certificates)
    _refuse_foreign(spec.address, folder)
    return Started(spec.address, security=security_of(folder))


def _silent(address: str) -> bool:
    """Whether a scheduler waits for the other side to speak first."""
    with _connection(address) as connection:
        connection.settimeout(GREETING_S)
        with suppress(TimeoutError, ConnectionError):
            return not connection.recv(1)
    return True


def _shakes_hands(address: str) -> bool:
    """Whether it encrypts, with whomever."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with suppress(OSError), _connection(address) as connection, context.wrap_socket(connection):
        return True
    return False


def _connection(address: str) -> socket.socket:
    parts = urlsplit(address)
    try:
        return socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=CONNECT_S)
    except OSError as error:
        raise no_scheduler(address, error) from error


def _refuse_foreign(address: str, folder: "Path") -> None:
    """Shake hands once: Dask would try for a minute, and then say that it took too long."""
    context = ssl.create_default_context(cafile=str(folder / AUTHORITY))
    context.check_hostname = False
    try:
        context.load_cert_chain(folder / CERTIFICATE, folder / KEY)
        with _connection(address) as connection, context.wrap_socket(connection) as encrypted:
            # The scheduler refuses a certificate of ours only after our side of the greeting.
            encrypted.settimeout(CONNECT_S)
            encrypted.recv(1)
    except (ssl.SSLError, ConnectionError) as error:
        if not _silent(address):
            raise _mismatch(address, "not encrypted", "Start it with `--protocol tls` and certificates") from error
        raise InputError(
            where="cluster",
            problem="the scheduler and this side do not know each other's certificates",
            got=f"{address} with {folder}: {getattr(error, 'reason', None) or error}",
            wanted="certificates of one authority",
            mend="Name the scheduler's (cluster: certificates)",
        ) from error
    except TimeoutError:
        return


def _mismatch(address: str, how: str, mend: str) -> InputError:
    return InputError(
        where="cluster",
        problem=f"the scheduler's traffic is {how}",
        got=address,
        wanted="both sides encrypted, or neither",
        mend=mend,
    )
