"""Every array and column is declared once, completely, in words that the rest of the house uses."""

import numpy as np
import pytest

from storage.columns import TABLES, table_spec
from storage.errors import StoreError
from storage.schema import ARRAYS, COORDINATES, MISSING, array_spec
from stxmdist.arrays import MaskClass

CONTRACT = {
    "particles": "scan_id file modality electrode_id cell_id beamtime_id region_id cycle c_rate direction soc_nominal "
    "soc_coulometric chemistry pair_id roi_rule particle_id y_um x_um n_pixels area_um2 d_eq_um aspect solidity "
    "thickness_nm soc_mean soc_se soc_sd f_charged f_mixed f_discharged phase_class active core_shell_index flags",
    "electrodes": "electrode_id cycle c_rate direction n_regions n_particles soc_mean soc_ci_low soc_ci_high "
    "soc_coulometric sd_inter sd_intra icc active_fraction active_ci_low active_ci_high d10_um d50_um d90_um",
    "effects": "endpoint term estimate se ci_low ci_high p method p_min_attainable q_fdr n_electrodes n_particles",
    "variance": "endpoint component variance share ci_low ci_high",
    "scans": "scan_id stage state units_done units_failed digest seconds core_seconds bytes quality",
    "exclusions": "what scan_id stage where why n",
}
"""Users and checks rely on these columns: they are written down here a second time on purpose."""


@pytest.mark.parametrize("name", CONTRACT)
def test_contract_columns_are_required(name: str) -> None:
    required = {column.name for column in TABLES[name].columns if column.required}
    assert required == set(CONTRACT[name].split())


def test_every_column_says_what_it_is_and_occurs_once() -> None:
    for spec in TABLES.values():
        names = [column.name for column in spec.columns]
        assert len(set(names)) == len(names)
        assert all(column.meaning for column in spec.columns)
        for column in spec.columns:
            # The longest suffix counts: a mass in um2 nm is no length in nm.
            units = (("_um2_nm", "um2 nm"), ("_um", "um"), ("_um2", "um2"), ("_nm", "nm"))
            wanted = [unit for suffix, unit in units if column.name.endswith(suffix)]
            assert not wanted or column.unit == wanted[0], column.name


@pytest.mark.parametrize("spec", ARRAYS.values(), ids=ARRAYS)
def test_every_array_is_declared_completely(spec: object) -> None:
    assert spec.meaning
    assert ARRAYS[spec.name] is spec
    assert set(spec.whole) <= set(spec.dims)
    for suffix, unit in (
        ("_um", "um"),
        ("_nm", "nm"),
        ("_ms", "ms"),
        ("_ma", "mA"),
        ("_px", "px"),
        ("_counts", "count"),
    ):
        assert spec.unit == unit or not spec.name.endswith(suffix)
    for name in spec.dtype.split("|"):
        dtype = spec.dtype_for(name)
        fill = spec.fill_for(dtype)
        assert np.asarray(fill).dtype == dtype
        # What was not written is never zero where zero is a measured value.
        assert np.isnan(fill) if dtype.kind in "fc" else fill != 0 or spec.name in ("particle_free", "energy_used")


def test_unwritten_masks_say_missing() -> None:
    assert MaskClass.missing == MISSING
    assert all(ARRAYS[name].fill == MISSING for name in ("mask_class", "frame_class", "aligned_class"))


def test_frames_are_declared_with_their_own_type_and_classes_with_their_own_axes() -> None:
    assert array_spec("frames").dtype_for("uint32") == np.uint32
    with pytest.raises(StoreError, match="uint16 or uint32 or float32"):
        array_spec("frames").dtype_for(None)
    with pytest.raises(StoreError, match="another type"):
        array_spec("frames").dtype_for("float64")
    assert array_spec("frame_class").dims_for(2) == ("energy", "position")
    with pytest.raises(StoreError, match="number of axes"):
        array_spec("soc").dims_for(3)


def test_what_is_not_declared_is_refused() -> None:
    with pytest.raises(StoreError, match="declares no array"):
        array_spec("dark_matter")
    with pytest.raises(StoreError, match="declares no table"):
        table_spec("dark_matter")


def test_coordinates_carry_their_unit_in_the_name() -> None:
    assert {spec.name for spec in COORDINATES.values()} == {"energy_ev", "y_um", "x_um", "fine_y_um", "fine_x_um"}
    assert all(spec.name.endswith("_" + spec.unit.lower()) for spec in COORDINATES.values())
