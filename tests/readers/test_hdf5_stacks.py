"""Stacks that analysis programs leave in HDF5: Mantis, MISTRAL's pipeline, xanespy."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import StxmRecording
from tests.readers.examples import mantis, mistral, xanespy
from tests.readers.examples.planted import ENERGY_EV, X_UM, Y_UM

SINGLE = 1e-6
"""Relative: numbers in float32."""
DENSITY, TRANSMISSION = "optical density, not counts", "transmission, not counts"


def read(path: Path) -> StxmRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, StxmRecording)
    return recording


def frames(recording: StxmRecording) -> np.ndarray:
    return np.stack([recording.read(index) for index in range(len(recording.energy_ev))])


def says(recording: StxmRecording, words: str) -> bool:
    return any(words in note for note in recording.notes)


class TestMantis:
    @pytest.mark.parametrize("axes", ["x:y:energy", "energy:y:x", "y:x:energy", "x:energy:y"])
    def test_counts_and_axes(self, axes: str, planted: np.ndarray, tmp_path: Path) -> None:
        recording = read(mantis.write(tmp_path / "scan.hdf5", axes=axes))
        np.testing.assert_array_equal(frames(recording), planted)
        np.testing.assert_array_equal(recording.energy_ev, ENERGY_EV)
        np.testing.assert_allclose(recording.y_um, Y_UM)
        np.testing.assert_allclose(recording.x_um, X_UM)
        assert recording.lacks == ("unit of y (taken as um)", "unit of x (taken as um)", "ring current", "dwell time")
        assert recording.notes == ()

    def test_an_incident_beam_of_one_means_optical_density(self, tmp_path: Path) -> None:
        recording = read(mantis.write(tmp_path / "od.hdf5", white=1.0))
        assert says(recording, DENSITY)
        assert "ring current" not in recording.lacks
        recording = read(mantis.write(tmp_path / "counts.hdf5", white=900.0))
        assert not says(recording, "not counts")
        assert says(recording, "an incident beam of 5 energies, which is not used")

    def test_older_files_say_nothing_of_their_axes(self, planted: np.ndarray, tmp_path: Path) -> None:
        path = mantis.write(tmp_path / "scan.hdf5")
        with h5py.File(path, "a") as file:
            del file["exchange/data"].attrs["axes"], file["exchange/x"], file["exchange/y"]
        recording = read(path)
        np.testing.assert_array_equal(frames(recording), planted)
        assert any("pixel size" in lack for lack in recording.lacks)

    def test_angles_and_misfits_are_refused(self, tmp_path: Path) -> None:
        path = mantis.write(tmp_path / "scan.hdf5")
        with h5py.File(path, "a") as file:
            energies = file["exchange/energy"][()]
            del file["exchange/energy"]
            file["exchange/energy"] = energies[:-1]
        with pytest.raises(InputError, match=r"4 of energy.*as many energies as images"):
            readers.read(path)
        with h5py.File(path, "a") as file:
            file["exchange/theta"] = np.arange(3.0)
        with pytest.raises(UnsupportedError, match="energies and angles"):
            readers.read(path)
        assert readers.describe(path).kind == "tomography stack"

    def test_what_mantis_writes(self, planted: np.ndarray, tmp_path: Path) -> None:
        pytest.importorskip("mantis_xray", reason="Mantis is not installed")
        from mantis_xray.analysis import data_stack, data_struct
        from mantis_xray.file_plugins import file_dataexch_hdf5

        stack = data_stack.data(data_struct.h5())
        stack.new_data()
        stack.absdata = planted.transpose(2, 1, 0)
        stack.n_cols, stack.n_rows, stack.n_ev = stack.absdata.shape
        stack.ev, stack.x_dist, stack.y_dist, stack.data_dwell = ENERGY_EV, X_UM, Y_UM, np.ones(len(ENERGY_EV))
        stack.fill_h5_struct_from_stk()
        for name, change, words in (
            ("counts", lambda: None, ""),
            ("i0", lambda: stack.set_i0(np.full(len(ENERGY_EV), 5000.0), ENERGY_EV.copy()), "an incident beam"),
            ("od", stack.UsePreNormalizedData, DENSITY),
        ):
            change()
            path = tmp_path / f"{name}.hdf5"
            file_dataexch_hdf5.write(str(path), stack, "stack")
            recording = read(path)
            np.testing.assert_array_equal(frames(recording), planted)
            np.testing.assert_array_equal(recording.energy_ev, ENERGY_EV)
            np.testing.assert_array_equal(recording.y_um, Y_UM)
            np.testing.assert_array_equal(recording.x_um, X_UM)
            assert says(recording, words) if words else recording.notes == ()


class TestMistral:
    @pytest.mark.parametrize(
        ("group", "name"),
        [
            ("SpecNormalized", "spectroscopy_normalized"),
            ("SpecNormalized", "spectroscopy_normalized_aligned"),
            ("FastAligned", "spec_aligned"),
        ],
    )
    def test_transmission_axes_and_exposure(self, group: str, name: str, planted: np.ndarray, tmp_path: Path) -> None:
        recording = read(mistral.write(tmp_path / "scan.hdf5", group=group, names=(name,)))
        np.testing.assert_allclose(frames(recording), planted / 2000, rtol=SINGLE)
        np.testing.assert_array_equal(recording.energy_ev, ENERGY_EV)
        np.testing.assert_allclose(recording.y_um, 0.1 * np.arange(7))
        np.testing.assert_allclose(recording.x_um, 0.2 * np.arange(11))
        assert recording.dwell_ms.tolist() == [1500.0] * 5
        assert says(recording, TRANSMISSION)
        assert recording.lacks == ()

    def test_aligned_images_come_first(self, tmp_path: Path) -> None:
        names = ("spectroscopy_normalized", "spectroscopy_normalized_aligned")
        recording = read(mistral.write(tmp_path / "scan.hdf5", names=names))
        assert says(recording, "spectroscopy_normalized_aligned is read, not spectroscopy_normalized")

    def test_images_that_were_never_written_are_missing(self, planted: np.ndarray, tmp_path: Path) -> None:
        path = mistral.write(tmp_path / "scan.hdf5")
        with h5py.File(path, "a") as file:
            group = file["SpecNormalized"]
            del group["spectroscopy_normalized"]
            data = group.create_dataset("spectroscopy_normalized", planted.shape, "f4", chunks=(1, 4, 11))
            data[:3] = planted[:3]
            data[3, :4] = planted[3, :4]
        recording = read(path)
        assert recording.frame_class.tolist() == [0, 0, 0, 0, MaskClass.missing]
        np.testing.assert_array_equal(recording.read(0), planted[0])
        np.testing.assert_array_equal(recording.read(3)[:4], planted[3, :4])
        assert np.isnan(recording.read(3)[4:]).all()

    def test_one_energy_is_wanted_for_each_image(self, tmp_path: Path) -> None:
        path = mistral.write(tmp_path / "scan.hdf5", energy_ev=ENERGY_EV[:4])
        with pytest.raises(InputError, match=r"scan\.hdf5.*4 of energy"):
            readers.read(path)
        with h5py.File(path, "a") as file:
            del file["SpecNormalized/energy"]
        with pytest.raises(InputError, match="does not say its photon energies"):
            readers.read(path)
        assert not readers.describe(path).usable

    def test_shapes_that_no_image_has_are_refused(self, tmp_path: Path) -> None:
        path = mistral.write(tmp_path / "scan.hdf5")
        with h5py.File(path, "a") as file:
            group = file["SpecNormalized"]
            del group["spectroscopy_normalized"]
            group.create_dataset("spectroscopy_normalized", (5, 10**6, 10**6), "f4", chunks=(1, 100, 100))
        with pytest.raises(InputError, match="no plausible size"):
            readers.read(path)


class TestXanespy:
    def test_optical_depths_are_taken_before_intensities(self, planted: np.ndarray, tmp_path: Path) -> None:
        path = xanespy.write(
            tmp_path / "scan.h5", optical_depths=planted[None] / 1000, intensities=(planted[None] + 5).astype(np.uint16)
        )
        recording = read(path)
        np.testing.assert_allclose(frames(recording), planted / 1000, rtol=SINGLE)
        np.testing.assert_array_equal(recording.energy_ev, ENERGY_EV)
        np.testing.assert_allclose(recording.y_um, 0.1 * np.arange(7))
        np.testing.assert_allclose(recording.x_um, 0.1 * np.arange(11))
        assert says(recording, DENSITY)
        assert says(recording, "not intensities")

    def test_images_pixels_and_channel_may_be_chosen(self, planted: np.ndarray, tmp_path: Path) -> None:
        path = xanespy.write(
            tmp_path / "scan.h5", optical_depths=planted[None] / 1000, intensities=planted[None].astype(np.uint16)
        )
        recording = readers.read_scan((path,), "intensities", readers.ReadChoices(pixel_size_nm=50.0))
        assert isinstance(recording, StxmRecording)
        np.testing.assert_array_equal(frames(recording), planted)
        np.testing.assert_allclose(np.diff(recording.x_um), 0.05)
        with pytest.raises(InputError, match=r"no images of this name.*optical_depths"):
            readers.read_scan((path,), "references")

    def test_intensities_alone_are_counts(self, planted: np.ndarray, tmp_path: Path) -> None:
        recording = read(xanespy.write(tmp_path / "scan.h5", intensities=planted[None]))
        np.testing.assert_array_equal(frames(recording), planted)
        assert recording.notes == ()
        assert "ring current" in recording.lacks

    def test_complex_images_give_the_density_of_their_light(self, tmp_path: Path) -> None:
        """An object of transmission amplitude exp(-d / 2) absorbs an optical density d, whatever its phase."""
        density = np.linspace(0.1, 2.0, 5 * 7 * 11).reshape(1, 5, 7, 11)
        thing = np.exp(-0.5 * density + 0.7j)
        recording = read(xanespy.write(tmp_path / "object.h5", intensities=thing))
        np.testing.assert_allclose(-np.log(frames(recording)), density[0], atol=1e-6)
        assert says(recording, TRANSMISSION)
        recording = read(xanespy.write(tmp_path / "depth.h5", optical_depths=np.log(1.0 / thing)))
        np.testing.assert_allclose(frames(recording), density[0], atol=1e-6)
        assert says(recording, DENSITY)

    def test_fields_and_time_steps_are_regions(self, tmp_path: Path) -> None:
        path = xanespy.write(tmp_path / "scan.h5", names=("fov03", "fov07"), steps=("ocv", "soc:01"))
        recordings = readers.read(path)
        assert [recording.region for recording in recordings] == [
            "fov03 ocv", "fov03 soc-01", "fov07 ocv", "fov07 soc-01",
        ]  # fmt: skip
        assert isinstance(recordings[1], StxmRecording)
        assert isinstance(recordings[0], StxmRecording)
        np.testing.assert_allclose(recordings[1].read(0), recordings[0].read(0) + 1, rtol=SINGLE)

    def test_pixels_that_follow_the_energy_are_said(self, tmp_path: Path) -> None:
        sizes = np.array([[99.0, 99.5, 100.0, 100.5, 101.0]])
        recording = read(xanespy.write(tmp_path / "scan.h5", pixel_sizes=sizes))
        np.testing.assert_allclose(np.diff(recording.x_um), 0.1)
        assert says(recording, "99 to 101 nm wide: taken as 100 nm")

    def test_one_energy_is_wanted_for_each_image(self, tmp_path: Path) -> None:
        path = xanespy.write(tmp_path / "scan.h5")
        with h5py.File(path, "a") as file:
            del file["fov03/imported/energies"]
            file["fov03/imported/energies"] = ENERGY_EV[None, :3]
        with pytest.raises(InputError, match=r"scan\.h5.*energies of shape \(1, 3\), 1 x 5 images"):
            readers.read(path)
