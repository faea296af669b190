"""The password of the Prefect servers that this user starts: other users of the machine reach loopback as well."""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from flows.environment import home

ASKED_BY_SERVER = "PREFECT_SERVER_API_AUTH_STRING"
GIVEN_BY_CLIENTS = "PREFECT_API_AUTH_STRING"


def password_file() -> Path:
    """Where the password stands, for a person to look it up; readable by its owner alone."""
    return home() / "password"


def password() -> str:
    """The password: that of the environment, else that of the file, which is made where there is none."""
    if given := os.environ.get(ASKED_BY_SERVER):
        return given
    file = password_file()
    with suppress(FileExistsError), open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
        new.write(secrets.token_urlsafe(24) + "\n")
    return file.read_text().strip()


def of_server() -> Mapping[str, str]:
    """What the process of a server reads: it asks for the password, and knows it for its own calls."""
    return {ASKED_BY_SERVER: password(), GIVEN_BY_CLIENTS: password()}
