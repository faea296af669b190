"""Which pixels count for a particle's mass."""

import numpy as np

from stxmdist.arrays import MaskClass
from stxmdist.particles.inside import counted_classes


def test_noisy_pixels_keep_their_mass_unless_a_least_count_is_asked_for() -> None:
    classes = np.array([[MaskClass.valid, MaskClass.low_count, MaskClass.low_count, MaskClass.thick]], np.uint8)
    thickness = np.array([[[50.0, 5.0, np.nan, 300.0]]] * 2).reshape(2, 1, 4)
    counted = counted_classes(classes, thickness)
    assert counted.tolist() == [[MaskClass.valid, MaskClass.background, MaskClass.low_count, MaskClass.thick]]
    np.testing.assert_array_equal(counted_classes(classes, thickness, least_counts=5.0), classes)
