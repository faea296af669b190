"""Who may come into a bucket: credentials from the environment or a profile of it, and never from anywhere else."""

import functools
import os
from collections.abc import Mapping
from configparser import ConfigParser, Error
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from storage.errors import StoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

PATIENCE = "STXMDIST_BUCKET_PATIENCE_S"
"""Variable of the environment: for how long a server that does not answer is asked again"""
_PATIENCE_S = 60.0
_CONNECT_S = 5
_REQUEST_S = 300
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@functools.lru_cache(maxsize=8)
def client_of(bucket: str) -> "Client":
    """What speaks with a bucket, made once in a process from its environment.

    Raises
    ------
    StoreError
        without credentials, or with an address that sends them in the clear to another machine.
    """
    from obstore.store import from_url

    patience_s = float(os.environ.get(PATIENCE, _PATIENCE_S))
    given: dict[str, Any] = _s3_given(bucket, os.environ) if bucket.startswith("s3://") else {}
    options: Any = {
        "timeout": timedelta(seconds=_REQUEST_S),
        "connect_timeout": timedelta(seconds=_CONNECT_S),
    }
    endpoint = urlsplit(given.get("endpoint", ""))
    if endpoint.scheme == "http":
        options["allow_http"] = True
    retry: Any = {
        # Counted in seconds, not in tries.
        "max_retries": 10_000,
        "retry_timeout": timedelta(seconds=patience_s),
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
    }
    made: Client = from_url(bucket, client_options=options, retry_config=retry, **given)
    return made


def _s3_given(bucket: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What the environment says of S3, and its profile where it says nothing itself."""
    profile = _profile(environment)
    names = {
        "access_key_id": "AWS_ACCESS_KEY_ID",
        "secret_access_key": "AWS_SECRET_ACCESS_KEY",
        "session_token": "AWS_SESSION_TOKEN",
    }
    keys = {ours: environment[theirs] for ours, theirs in names.items() if environment.get(theirs)}
    if "access_key_id" not in keys:
        keys = {ours: profile[f"aws_{ours}"] for ours in names if profile.get(f"aws_{ours}")}
    lent = (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    )
    anonymous = environment.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true")
    if "secret_access_key" not in keys and not anonymous and not any(environment.get(name) for name in lent):
        raise StoreError(
            where=bucket,
            problem="nothing says who asks this bucket",
            got="no AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, and no profile with both",
            wanted="credentials in the environment, or in the profile that AWS_PROFILE names",
            mend="Set them where the command starts, and where workers start; never in a campaign file",
        )
    found = dict(keys)
    # SeaweedFS, MinIO and the like answer to any region, and want one.
    found["region"] = (
        environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or profile.get("region") or "us-east-1"
    )
    endpoint = (
        environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or profile.get("endpoint_url")
    )
    if endpoint:
        parts = urlsplit(endpoint)
        allowed = environment.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not allowed:
            raise StoreError(
                where=bucket,
                problem="the address of the bucket's server is not encrypted",
                got=f"http://{parts.hostname}",
                wanted="https, or a server on this machine",
                mend="Write https in AWS_ENDPOINT_URL; in a network of your own, AWS_ALLOW_HTTP=true allows it",
            )
        found["endpoint"] = endpoint
    return found


def _profile(environment: Mapping[str, str]) -> dict[str, str]:
    """Keys, region and address of the profile that the environment names, from the files that all of its tools read."""
    name = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE") or "default"
    home = Path(environment.get("HOME") or "/", ".aws")
    places = (
        (
            environment.get("AWS_CONFIG_FILE") or home / "config",
            name if name == "default" else f"profile {name}",
        ),
        (environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials", name),
    )
    found: dict[str, str] = {}
    for file, section in places:
        # A secret may hold any sign.
        parser = ConfigParser(interpolation=None)
        try:
            parser.read(file)
        except (Error, OSError, UnicodeDecodeError):
            continue
        if parser.has_section(section):
            found |= dict(parser.items(section))
    return found
