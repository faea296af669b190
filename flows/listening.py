"""A socket that listens before its server starts, so that nobody else takes the port in between."""

import socket

from stxmdist.errors import InputError


def listening_socket(host: str, port: int, problem: str) -> socket.socket:
    """A socket that listens at an address of this machine; port 0 takes any that is free.

    Raises
    ------
    InputError
        when nothing can listen there; ``problem`` says what could not be done for it.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise InputError(
            where=f"{host}, port {port}",
            problem=problem,
            got=error.strerror or str(error),
            wanted="an address of this machine and a port that is free",
            mend="Name another one with --port, or 0 for any",
        ) from error
    return listener
