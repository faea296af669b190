"""SDF of other kinds than one image stack: several regions, line scans, spectra."""

from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import StxmRecording

ENERGY_EV = 700.0 + np.array([0.0, 1.5, 2.0, 7.25, 8.0])


def axis(kind: str, name: str, points: np.ndarray, unit: str = "um") -> str:
    listed = ", ".join(repr(float(point)) for point in points)
    return f'{kind} = {{ Name = "{name}"; Unit = "{unit}"; Dir = 1; Points = ({len(points)}, {listed}); }};\n'


def header(scan_type: str, flags: str, regions: list[str], rest: str = "", unit: str = "counts") -> str:
    return (
        f'ScanDefinition = {{ Label = "scan.hdr"; Type = "{scan_type}"; Flags = "{flags}"; Dwell = 4;\n'
        f"Regions = ({len(regions)},\n{', '.join('{ ' + region + '}' for region in regions)});\n{rest}"
        f'Channels = (1,\n{{ Name = "V/F"; Unit = "{unit}";}});\n}};\n StorageRingCurrent = 500.5;\n'
    )


def put(path: Path, table: np.ndarray) -> None:
    path.write_text("".join("\t".join(map(repr, map(float, row))) + "\t\r\n" for row in table))


def read(path: Path) -> tuple[StxmRecording, ...]:
    recordings = readers.read(path)
    assert all(isinstance(recording, StxmRecording) for recording in recordings)
    return recordings  # type: ignore[return-value]


def rasters(*shapes: tuple[int, int]) -> list[str]:
    return [
        axis("PAxis", "Sample X", 10.0 * number + 0.1 * np.arange(nx)) + axis("QAxis", "Sample Y", 0.1 * np.arange(ny))
        for number, (ny, nx) in enumerate(shapes)
    ]


def test_every_region_of_a_stack_is_a_recording(tmp_path: Path) -> None:
    shapes = ((3, 5), (7, 2), (1, 11))
    counts = [1000.0 * (n + 1) + np.arange(5.0 * ny * nx).reshape(5, ny, nx) for n, (ny, nx) in enumerate(shapes)]
    currents = "".join(
        f"Image{e:03d}_{r} = {{StorageRingCurrent = {400 + 10 * r + e}; Energy = {ENERGY_EV[e]};}};\n"
        for e in range(5)
        for r in range(3)
    )
    path = tmp_path / "scan.hdr"
    stack = axis("StackAxis", "Energy", ENERGY_EV, "eV")
    path.write_text(header("NEXAFS Image Scan", "Multi-Region Image Stack", rasters(*shapes), stack) + currents)
    for region, values in enumerate(counts):
        for index in range(5):
            # The scan was aborted in its last energy, after the first region.
            if index < 4 or region == 0:
                put(tmp_path / f"scan_a{index:03d}{region}.xim", values[index])
    found = read(path)
    assert [recording.region for recording in found] == ["region0", "region1", "region2"]
    for region, recording in enumerate(found):
        assert recording.read(0).shape == shapes[region]
        assert recording.x_um[0] == 10.0 * region
        assert recording.frame_class.tolist() == [0, 0, 0, 0, 0 if region == 0 else 5]
        np.testing.assert_array_equal(recording.ring_current_ma, 400 + 10 * region + np.arange(5))
        assert len(recording.files) == (6 if region == 0 else 5)
        for index in range(4):
            np.testing.assert_array_equal(recording.read(index), counts[region][index])
    description = readers.describe(path)
    assert (description.kind, description.usable) == ("multi-region image stack", True)
    assert description.facts["shape_region_2"] == [1, 11]


def test_regions_of_an_image(tmp_path: Path) -> None:
    path = tmp_path / "scan.hdr"
    stack = axis("StackAxis", "Energy", ENERGY_EV[:1], "eV")
    path.write_text(header("Image Scan", "Multi-Region Image", rasters((3, 5), (2, 7)), stack))
    for region, shape in enumerate(((3, 5), (2, 7))):
        put(tmp_path / f"scan_a{region}.xim", np.full(shape, 7.0 + region))
    one, two = read(path)
    np.testing.assert_array_equal(one.read(0), np.full((3, 5), 7.0))
    np.testing.assert_array_equal(two.read(0), np.full((2, 7), 8.0))
    (tmp_path / "scan_a0.xim").unlink()
    (left,) = read(path)
    assert left.x_um[0] == 10.0
    assert any("no frames of region0" in note for note in left.notes)
    put(tmp_path / "scan_a2.xim", np.ones((2, 7)))
    with pytest.raises(InputError, match="more regions"):
        readers.read(path)


@pytest.mark.parametrize("along", ["PAxis", "QAxis"])
@pytest.mark.parametrize("descending", [False, True])
def test_line_scan_is_one_row(along: str, descending: bool, tmp_path: Path) -> None:
    position = np.arange(7) * (-0.25 if descending else 0.25)
    counts = 1000.0 + np.arange(35.0).reshape(5, 7)
    other = "QAxis" if along == "PAxis" else "PAxis"
    region = axis(along, "Energy", ENERGY_EV[::-1], "eV") + axis(other, "Sample Y", position)
    path = tmp_path / "scan.hdr"
    path.write_text(header("NEXAFS Line Scan", "Image", [region]))
    in_file = counts[::-1]
    put(tmp_path / "scan_a.xim", in_file.T if along == "PAxis" else in_file)
    (recording,) = read(path)
    np.testing.assert_array_equal(recording.energy_ev, ENERGY_EV)
    np.testing.assert_array_equal(recording.x_um, np.sort(position))
    assert recording.y_um.shape == (1,)
    np.testing.assert_array_equal(recording.dwell_ms, np.full(5, 4.0))
    for index in range(5):
        np.testing.assert_array_equal(recording.read(index)[0], counts[index][:: -1 if descending else 1])
    assert readers.describe(path).kind == "line scan"


def test_line_scan_without_energy_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "scan.hdr"
    path.write_text(header("Line Scan", "Image", rasters((3, 5)), axis("StackAxis", "Energy", ENERGY_EV[:1], "eV")))
    put(tmp_path / "scan_a.xim", np.ones((3, 5)))
    with pytest.raises(UnsupportedError, match="line scan"):
        readers.read(path)


def test_point_spectra(tmp_path: Path) -> None:
    regions = [axis("PAxis", "Energy", ENERGY_EV, "eV") + axis("QAxis", "Sample", np.zeros(1))] * 2
    path = tmp_path / "scan.hdr"
    path.write_text(header("NEXAFS Point Scan", "Multi-Region Spectra", regions))
    for region in range(2):
        text = "".join(f"{energy:.7E} {100.0 * (region + 1) + n:.7E}\n" for n, energy in enumerate(ENERGY_EV))
        (tmp_path / f"scan_{region}.xsp").write_text(text)
    first, second = read(path)
    assert (first.region, second.region) == ("region0", "region1")
    np.testing.assert_array_equal(first.energy_ev, ENERGY_EV)
    assert [second.read(index).tolist() for index in range(5)] == [[[200.0 + index]] for index in range(5)]
    assert "a point spectrum shows no whole particles" in readers.describe(path).refusal


@pytest.mark.parametrize("content", ["", "700 1 2\n701 2 3\n", "700 1\n701 1_0\n", "700 1\n701 x\n", "700\n701\n"])
def test_bad_spectrum_is_named(content: str, tmp_path: Path) -> None:
    region = axis("PAxis", "Energy", ENERGY_EV, "eV") + axis("QAxis", "Sample", np.zeros(1))
    path = tmp_path / "scan.hdr"
    path.write_text(header("NEXAFS Point Scan", "Spectra", [region]))
    (tmp_path / "scan_0.xsp").write_text(content)
    with pytest.raises(InputError, match=r"scan_0\.xsp"):
        readers.read(path)


def test_digits_with_underscores_are_no_number(tmp_path: Path) -> None:
    path = tmp_path / "scan.hdr"
    path.write_text(header("Image Scan", "Image", rasters((1, 2)), axis("StackAxis", "Energy", ENERGY_EV[:1], "eV")))
    (tmp_path / "scan_a.xim").write_text("27\t2_7\t\n")
    (recording,) = read(path)
    with pytest.raises(InputError, match=r"scan_a\.xim"):
        recording.read(0)


def test_rates_are_said(tmp_path: Path) -> None:
    path = tmp_path / "scan.hdr"
    stack = axis("StackAxis", "Energy", ENERGY_EV[:1], "eV")
    path.write_text(header("Image Scan", "Image", rasters((1, 2)), stack, unit="Hz"))
    put(tmp_path / "scan_a.xim", np.array([[2.5e6, 1.25e6]]))
    (recording,) = read(path)
    assert recording.read(0).tolist() == [[2.5e6, 1.25e6]]
    assert any("Hz" in note for note in recording.notes)
