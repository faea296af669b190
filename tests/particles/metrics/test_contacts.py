"""Contact, neighbours and cover, exact on label images."""

import numpy as np
import pytest

from stxmdist.arrays import F64, I32
from stxmdist.particles.metrics.contacts import contacts
from stxmdist.particles.metrics.field_table import FIELD_METRICS, LabelledField, measure_field


def measured(labels: I32, pixel_nm: float = 50.0) -> dict[str, F64]:
    ids = np.unique(labels[labels > 0]).astype(np.int64)
    return dict(contacts(LabelledField(labels, np.ones(labels.shape, bool), ids, pixel_nm)))


def test_squares_in_contact_share_a_side() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[10:20, 10:20], labels[10:20, 20:30], labels[30:34, 5:9] = 1, 2, 3
    found = measured(labels)
    # A ring of 4 x 10 + 4 pixels, of which the ten beside the other square belong to it.
    assert found["contact_share"].tolist() == pytest.approx([10 / 44, 10 / 44, 0.0])
    assert np.isnan(found["neighbour_distance_um"]).all()


def test_a_lattice_has_its_distances_and_covers() -> None:
    labels = np.zeros((130, 130), np.int32)
    y, x = np.indices(labels.shape)
    for row in range(5):
        for column in range(5):
            labels[(np.abs(y - 13 - 25 * row) <= 2) & (np.abs(x - 13 - 25 * column) <= 2)] = 5 * row + column + 1
    found = measured(labels)
    middle = 12
    pitch = 25 * 0.05
    assert found["neighbour_distance_um"][middle] == pytest.approx(pitch * (4 + 2 * np.sqrt(2)) / 6)
    disc = np.hypot(y - 63, x - 63) <= 20.0
    others = disc & (labels != middle + 1)
    assert found["local_cover"][middle] == pytest.approx((labels[others] > 0).mean())
    assert found["contact_share"][middle] == 0.0
    # A disc that mostly lies beyond the field is not known.
    corner = np.zeros((30, 30), np.int32)
    corner[:3, :3], corner[20, 20] = 1, 2
    assert np.isnan(measured(corner)["local_cover"][0])


def test_the_table_names_its_columns_and_nothing_is_no_row() -> None:
    empty = LabelledField(np.zeros((5, 5), np.int32), np.ones((5, 5), bool), np.zeros(0, np.int64), 50.0)
    table = measure_field(empty)
    assert len(table) == 0
    assert list(table) == [column.name for entry in FIELD_METRICS.values() for column in entry.columns]
