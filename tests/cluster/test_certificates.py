"""Between hosts Dask is encrypted: whoever has no certificate of the authority is refused, and told why."""

import subprocess
import sys
from pathlib import Path

import pytest

from stxmdist.campaign.clusters import ClusterSpec
from stxmdist.cluster.certificates import (
    AUTHORITY,
    CERTIFICATE,
    KEY,
    certificates_for,
    is_loopback,
    make,
    own_folder,
    security_of,
)
from stxmdist.cluster.slurm import address_of_this_machine
from stxmdist.cluster.start import Cluster
from stxmdist.errors import InputError
from tests.cluster.outside import beside


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tls") / "own"
    make(made)
    return made


def test_only_their_owner_may_read_the_key(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {AUTHORITY, CERTIFICATE, KEY}
    assert (folder / KEY).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    # The authority is no more than its certificate: its key is nowhere.
    assert "PRIVATE" not in (folder / AUTHORITY).read_text() + (folder / CERTIFICATE).read_text()


def test_the_authority_signed_the_certificate_and_no_other(folder: Path, tmp_path: Path) -> None:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    make(tmp_path / "other")
    certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes()))
    other = x509.load_pem_x509_certificate((tmp_path / "other" / AUTHORITY).read_bytes())
    with pytest.raises((InvalidSignature, ValueError)):
        certificate.verify_directly_issued_by(other)


def test_what_is_there_is_not_written_over(folder: Path) -> None:
    before = (folder / KEY).read_bytes()
    with pytest.raises(InputError, match=r"there are certificates already; got ca\.pem, cert\.pem, key\.pem"):
        make(folder)
    assert (folder / KEY).read_bytes() == before


def test_a_user_has_own_ones_made_at_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert certificates_for(None) == own_folder() == tmp_path / "stxmdist" / "certificates"
    before = (own_folder() / KEY).read_bytes()
    assert certificates_for(None) == own_folder()
    assert (own_folder() / KEY).read_bytes() == before


def test_a_key_that_others_may_read_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"certificates are missing; got no ca\.pem, cert\.pem, key\.pem"):
        certificates_for(tmp_path)
    make(tmp_path / "own")
    (tmp_path / "own" / KEY).chmod(0o640)
    with pytest.raises(InputError, match=r"others may read the key.*mode 640.*chmod 600"):
        certificates_for(tmp_path / "own")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "[::1]", "localhost"])
def test_addresses_that_reach_this_machine_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "0.0.0.0", "192.168.1.7", "login01", "localhost.evil.org", "2001:db8::1"])
def test_addresses_that_reach_others(host: str) -> None:
    assert not is_loopback(host)


def joined(address: str, certificates: Path | None = None) -> int:
    cluster = Cluster(ClusterSpec(workers=1, address=address, certificates=certificates))
    try:
        return int(cluster.client().submit(pow, 2, 5).result(60))
    finally:
        cluster.close()


PLAIN = """
import sys
from distributed import Client
try:
    Client(sys.argv[1], timeout="4s").close()
    print("connected")
except OSError as error:
    print("refused")
"""


def test_a_plain_client_is_refused_and_each_mismatch_has_its_sentence(folder: Path, tmp_path: Path) -> None:
    host = address_of_this_machine()
    if is_loopback(host):
        pytest.skip("this machine has no address but loopback")
    other = tmp_path / "other"
    make(other)
    with beside(host, security_of(folder)) as address:
        plain = address.replace("tls://", "tcp://")
        assert address.startswith(f"tls://{host}:")
        assert joined(address, folder) == 32
        done = subprocess.run([sys.executable, "-c", PLAIN, plain], capture_output=True, text=True, check=True)
        assert done.stdout == "refused\n"
        with pytest.raises(InputError, match=r"the scheduler's traffic is encrypted; got tcp://.*Write tls://"):
            joined(plain)
        with pytest.raises(InputError, match=r"do not know each other's certificates; got tls://.*certificates"):
            joined(address, other)


def test_an_encrypted_client_of_a_plain_scheduler_says_so(folder: Path) -> None:
    with beside() as address:
        with pytest.raises(InputError, match=r"traffic is not encrypted; got tls://.*--protocol tls"):
            joined(address.replace("tcp://", "tls://"), folder)
        assert joined(address) == 32
