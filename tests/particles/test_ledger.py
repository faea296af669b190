"""The ledger of a scan passes over no pixel and no particle."""

import numpy as np

from stxmdist.arrays import MaskClass
from stxmdist.particles.ledger import counts_of, ledger_of

NAN = float("nan")


def test_every_pixel_of_the_field_and_of_the_particles_is_counted_once() -> None:
    rng = np.random.default_rng(7)
    mask_class = rng.integers(0, len(MaskClass), (13, 17)).astype(np.uint8)
    labels = rng.integers(-1, 4, (13, 17)).astype(np.int32)
    ledger = ledger_of(labels, mask_class, np.array([0.2, NAN, 0.8]), ["", "no usable pixels", "few pixels"])
    assert sum(ledger.pixels_of_field.values()) == mask_class.size
    assert sum(ledger.pixels_of_particles.values()) == np.count_nonzero(labels > 0)
    for kind in MaskClass:
        assert ledger.pixels_of_field[kind.name] == np.count_nonzero(mask_class == kind)
        assert ledger.pixels_of_particles[kind.name] == np.count_nonzero((mask_class == kind) & (labels > 0))


def test_every_particle_has_a_state_of_charge_or_a_reason() -> None:
    flags = ["", "no usable pixels;touches border", "no mass", "no usable pixels", ""]
    ledger = ledger_of(
        np.zeros((2, 2), np.int32), np.zeros((2, 2), np.uint8), np.array([0.5, NAN, NAN, NAN, NAN]), flags
    )
    assert ledger.particles_with_soc == 1
    assert ledger.particles_without_soc == {"no usable pixels": 2, "no mass": 1, "no reason": 1}


def test_a_field_without_particles_has_a_ledger_of_pixels_alone() -> None:
    ledger = ledger_of(np.zeros((2, 3), np.int32), np.full((2, 3), MaskClass.background, np.uint8), np.zeros(0), [])
    assert ledger.pixels_of_field == {"background": 6}
    assert ledger.pixels_of_particles == {}
    assert (ledger.particles_with_soc, ledger.particles_without_soc) == (0, {})


def test_classes_that_do_not_occur_are_left_out() -> None:
    assert counts_of(np.array([[0, 3], [3, 3]], np.uint8)) == {"valid": 1, "thick": 3}
