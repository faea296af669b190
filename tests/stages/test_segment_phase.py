"""Which phase is looked at for cracks and grains, and where it lies."""

from pathlib import Path

import numpy as np

from storage.store import Store
from stxmdist.runner.writing import single_shard
from stxmdist.stages.segment.phase import thickness_phase, unwrapped


def test_the_phase_is_that_of_least_contrast_moved_as_its_image_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").create()
    absorbance, align = store.output("absorbance", "fine", "a"), store.output("align", "fine", "b")
    y, x = np.mgrid[:20, :24]
    phase = np.stack([np.exp(-((y - 9.0) ** 2 + (x - 11.0) ** 2) / 8.0) * k for k in (1.0, 2.0, 3.0)]).astype(
        np.float32
    )
    shift = np.array([[0.0, 0.0], [0.0, 0.0], [2.0, -3.0]])
    axes = {"energy": (np.arange(3.0), "eV"), "y": (np.arange(20.0), "um"), "x": (np.arange(24.0), "um")}
    for output, name, values in ((absorbance, "phase", phase), (align, "shift_px", shift)):
        plan = single_shard(name, values.shape, {"energy": axes["energy"]} if name == "shift_px" else axes)
        output.declare((plan,))
        index = (0,) * values.ndim
        output.write("scan", {name: [index]}, name, index, values)
    design = np.array([[1.0, 2.0, 1.0], [1.0, 1.05, 1.0]])
    found = thickness_phase(absorbance, align, design, np.array([True, False, True]))
    assert found is not None
    assert np.unravel_index(np.nanargmax(found), found.shape) == (11, 8)
    assert np.nanmax(found) > 2.9
    assert thickness_phase(align, align, design, np.ones(3, bool)) is None


def test_a_wrapped_phase_is_made_whole() -> None:
    x = np.linspace(0.0, 8.0, 60)
    true = -np.broadcast_to(x, (20, 60))
    wrapped = np.angle(np.exp(1j * true))
    wrapped[0, 0] = np.nan
    found = unwrapped(wrapped)
    known = np.isfinite(wrapped)
    np.testing.assert_allclose((found - true)[known] - (found - true)[10, 30], 0.0, atol=1e-6)
    assert np.isnan(found[0, 0])
