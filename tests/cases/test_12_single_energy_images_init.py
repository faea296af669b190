"""Images of one field, a file for each energy: `init` proposes them as one stack, and it gives what a stack gives."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from stxmdist.writers.nxstxm import writer as nxstxm
from tests.cases.campaigns import TO_THE_TABLES, Case, case, command

# The default corrects for a zone plate of 60 nm, and the discs are not blurred: .18 to .19, and .82 to .84.
SOC, WITHIN = (0.185, 0.83), 0.02


def test_three_images_are_one_row_and_give_the_state_of_charge(tmp_path: Path) -> None:
    found = case("12-single-energy-images", tmp_path)
    (row,) = found.rows()
    assert (row["scan_id"], row["file"], row["exclude"]) == ("im0", "im0.hdr;im1.hdr;im2.hdr", "")
    found.fill()
    assert command("validate", found.campaign).exit_code == 0
    result = found.run(*TO_THE_TABLES)
    assert result.exit_code == 0, result.stdout
    np.testing.assert_allclose(found.soc(), SOC, atol=WITHIN)


def image(path: Path, energy_ev: float, at: datetime, shift_um: float = 0.0, seed: int = 0) -> None:
    axis_um = 100.0 + shift_um + np.arange(16) * 0.05
    frame = np.random.default_rng(seed).poisson(500.0, (16, 16))
    nxstxm.write_stack(path, lambda energy: frame, [energy_ev], axis_um, axis_um, 2.0, 400.0, start_time=at)


def test_each_field_and_each_pass_is_a_stack_of_its_own(tmp_path: Path) -> None:
    """Pre-edge and on-edge pairs in NXstxm: two fields, one of them mapped twice, the stage a little off each time."""
    begin = datetime(2026, 5, 1, 9)
    for number, (name, energy_ev, shift_um) in enumerate(
        [
            ("a704", 704.0, 0.0), ("a710", 710.0, 0.02), ("b704", 704.0, 40.0), ("b710", 710.0, 40.0),
            ("again704", 704.0, 0.01), ("again710", 710.0, 0.0), ("overview", 710.0, 7.0),
        ]
    ):  # fmt: skip
        image(tmp_path / f"{name}.hdf5", energy_ev, begin + timedelta(minutes=number), shift_um, seed=number)
    said = command("init", tmp_path).stdout
    rows = {row["scan_id"]: row for row in Case(tmp_path).rows()}
    assert {name: row["file"] for name, row in rows.items() if not row["exclude"]} == {
        "a704": "a704.hdf5;a710.hdf5",
        "b704": "b704.hdf5;b710.hdf5",
        "again704": "again704.hdf5;again710.hdf5",
    }
    assert rows["overview"]["reason"] == "one photon energy only: a state of charge needs a stack"
    assert "a704: one stack of 2 images of one field at 704.0, 710.0 eV" in said
    # Both passes are over one region, and the other field is another one.
    assert rows["a704"]["region_id"] == rows["again704"]["region_id"] != rows["b704"]["region_id"]


def test_an_image_that_comes_later_is_named_and_the_row_is_not_touched(tmp_path: Path) -> None:
    begin = datetime(2026, 5, 1, 9)
    image(tmp_path / "a704.hdf5", 704.0, begin)
    image(tmp_path / "a710.hdf5", 710.0, begin + timedelta(minutes=1))
    command("init", tmp_path)
    before = Case(tmp_path).sheet.read_text()
    image(tmp_path / "a708.hdf5", 708.0, begin + timedelta(minutes=2))
    assert command("init", tmp_path).exit_code == 0
    after = Case(tmp_path).sheet.read_text()
    assert after.startswith(before)
    *_, late = Case(tmp_path).rows()
    assert (late["scan_id"], late["exclude"]) == ("a708", "true")
    assert "join them there, file: a704.hdf5;a708.hdf5;a710.hdf5" in late["reason"]
