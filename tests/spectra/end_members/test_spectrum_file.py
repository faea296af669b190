"""Two-column files in the dialects of the field, and what cannot be read."""

from pathlib import Path

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.spectra.end_members.spectrum_file import read_column, read_spectrum, read_spectrum_with_error

EXPECTED = ([700.0, 700.5, 701.25], [0.125, -0.5, 3e-4])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xas", "* 1.0 X-ray file\n* energy, od\n700.0, .125\n700.5, -0.5\n701.25, 3e-4\n"),
        ("a.csv", "energy_ev;od\n700;0.125\n700.5;-5e-1\n701.25;0.0003\n"),
        ("a.csv", "\ufeffenergy (eV),OD\r\n700,0.125\r\n700.5,-0.5\r\n\r\n701.25,3.0E-4\r\n"),
        ("a.xsp", "7.0000000E+2 1.25E-1\n7.0050000E+2 -5E-1\n7.0125000E+2 3E-4\n"),
        ("a.t", "\t701.25\t3e-4\n\t700.5\t-0.5\n\t700\t0.125\n"),
        ("a.txt", "# e v\n700 0.125\n700.5 -0.25\n700.5 -0.75\n701.25 0.0003"),
    ],
)
def test_dialects(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, newline="")
    energy, value = read_spectrum(tmp_path / name)
    np.testing.assert_allclose(energy, EXPECTED[0])
    np.testing.assert_allclose(value, EXPECTED[1])


ATHENA = (
    "# Athena data file -- Athena version 0.9.26\n# Element=Fe   Edge=L3\n# E0=706.0 eV, 3 points\n"
    "#------------------------\n#  {names}\n"
    "  700.0  9  0.125  8\n  700.5  9  -0.5  8\n  701.25  9  3e-4  8\n"
)


@pytest.mark.parametrize(
    ("names", "taken"),
    [("e  nbkg  norm  fbkg", "norm"), ("energy  bkg  xmu  norm", "xmu"), ("energy_eV other flat nder", "flat")],
)
def test_athena_and_which_column_is_taken(tmp_path: Path, names: str, taken: str) -> None:
    path = tmp_path / "a.nor"
    path.write_text(ATHENA.format(names=names))
    energy, value, column = read_column(path)
    np.testing.assert_allclose(energy, EXPECTED[0])
    np.testing.assert_allclose(value, EXPECTED[1])
    assert column == taken
    np.testing.assert_array_equal(read_spectrum(path)[1], value)


@pytest.mark.parametrize("names", ["e a b c", "chi a norm b", "e norm b", "e norm a b c", ""])
def test_several_columns_without_their_names_are_refused(tmp_path: Path, names: str) -> None:
    path = tmp_path / "a.nor"
    path.write_text(ATHENA.format(names=names))
    with pytest.raises(InputError, match="line 6"):
        read_spectrum(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no spectrum"),
        (b"only words\nand more", "no spectrum"),
        (b"700 1\n", "no spectrum"),
        (b"700 1\n701 2\n702 oops\n", "line 3"),
        (b"700 1\n701 nan\n", "line 2"),
        (b"700 1\n7_01 2\n", "line 2"),
        (b"700 1\n701  ;.36E+2\n", "line 2"),
        (b"700, 1\n701,, 2\n", "line 2"),
        (b"# e norm\n700 1\n701 2 3\n", "line 3"),
        (b"700 1 5\n701 2 6\n", "line 1"),
        (b"700 1\n700 2\n", "one energy only"),
        (b"\x89HDF\r\n\x1a\n\x00\x00\x00", "not a text file"),
    ],
)
def test_what_cannot_be_read_says_where(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as refusal:
        read_spectrum(path)
    assert "bad.txt" in refusal.value.where


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        read_spectrum(tmp_path / "nowhere.t")


@pytest.mark.parametrize(
    ("content", "sd"),
    [
        ("700 1 .1\n700 3 .3\n701 2 .2\n702 9 .1\n", [np.hypot(0.1, 0.3) / 2, 0.2, 0.1]),
        ("700 1\n700 3\n701 2\n701 2\n702 5\n", np.array([1, 1, np.sqrt(2)]) / np.sqrt(2)),
        ("700 1\n701 2\n", None),
    ],
)
def test_errors_from_a_third_column_or_from_repeats(tmp_path: Path, content: str, sd: list[float] | None) -> None:
    (tmp_path / "a.txt").write_text(content)
    energy, value, found = read_spectrum_with_error(tmp_path / "a.txt")
    assert value[:2].tolist() == ([1.0, 2.0] if sd is None else [2.0, 2.0])
    assert energy[0] == 700.0
    if sd is None:
        assert found is None
    else:
        np.testing.assert_allclose(found, sd)


@pytest.mark.parametrize(
    "content", ["700 1 .1\n701 2\n", "700 1\n701 2 .1\n", "700 1 .1\n701 2 -.1\n", "700 1 1\n701 2 3\n"]
)
def test_an_error_column_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(InputError, match=r"a\.txt"):
        read_spectrum_with_error(tmp_path / "a.txt")
