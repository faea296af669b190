"""Certificates with which hosts know one another: whoever has none of this authority cannot speak to the scheduler."""

import ipaddress
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from stxmdist.errors import InputError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from distributed import Security

AUTHORITY, CERTIFICATE, KEY = "ca.pem", "cert.pem", "key.pem"
FILES = (AUTHORITY, CERTIFICATE, KEY)
DAYS = 1095
NAME = "stxmdist"


def own_folder() -> Path:
    """Where the certificates of this user are."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "stxmdist" / "certificates"


def make(folder: Path) -> None:
    """Write an authority's certificate, a certificate that it signed, and its key, which only this user may read.

    The authority's own key is thrown away: nobody can sign another certificate, this user neither.

    Raises
    ------
    InputError
        where one of the files is there already.
    """
    from cryptography.hazmat.primitives import serialization

    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise InputError(
            where=folder,
            problem="there are certificates already",
            got=", ".join(there),
            wanted="a folder without any",
            mend="Use these, name another folder, or remove them: runs that use them lose their workers then",
        )
    authority_key, authority = _signed(NAME + " authority")
    key, certificate = _signed(NAME, authority_key, authority)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The key last: two programs that make certificates at once end with one of them refused, and no mixture.
    descriptor = os.open(folder / KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
    for name, made in ((AUTHORITY, authority), (CERTIFICATE, certificate)):
        (folder / name).write_bytes(made.public_bytes(serialization.Encoding.PEM))


def _signed(
    name: str, by_key: "EllipticCurvePrivateKey | None" = None, by: "x509.Certificate | None" = None
) -> "tuple[EllipticCurvePrivateKey, x509.Certificate]":
    """A key and a certificate, signed by another or, as an authority, by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks of hosts differ.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    )
    return key, builder.sign(by_key or key, hashes.SHA256())


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def certificates_for(folder: Path | None) -> Path:
    """The folder to use: the one that the campaign names, or this user's own, made where there is none yet.

    Raises
    ------
    InputError
        where a named folder lacks a file, or others may read its key.
    """
    if folder is None:
        folder = own_folder()
        if not any((folder / name).exists() for name in FILES):
            make(folder)
    _refuse_unusable(folder)
    return folder


def security_of(folder: Path, names: Iterable[str] = FILES) -> "Security":
    """What Dask needs to speak and to listen with these certificates, and with nothing else."""
    from distributed import Security

    authority, certificate, key = (str(folder / name) for name in names)
    return Security(
        require_encryption=True,
        tls_ca_file=authority,
        **{f"tls_{role}_cert": certificate for role in ("client", "scheduler", "worker")},
        **{f"tls_{role}_key": key for role in ("client", "scheduler", "worker")},
    )


def _refuse_unusable(folder: Path) -> None:
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise InputError(
            where="cluster.certificates",
            problem="certificates are missing",
            got=f"no {', '.join(missing)} in {folder}",
            wanted=f"{', '.join(FILES)} in PEM",
            mend=f"Put them there, or make all of them: `stxmdist certificates --folder {folder}`",
        )
    if (folder / KEY).stat().st_mode & 0o077:
        raise InputError(
            where="cluster.certificates",
            problem="others may read the key of the certificates",
            got=f"{folder / KEY} with mode {(folder / KEY).stat().st_mode & 0o777:o}",
            wanted="a file that only you may read",
            mend=f"chmod 600 {folder / KEY}",
        )
