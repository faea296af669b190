"""Flags of the particle table."""

import numpy as np
import pandas as pd

from stxmdist.particles.table import with_flag


def test_a_flag_is_added_behind_those_that_are_there() -> None:
    table = pd.DataFrame({"particle_id": [1, 2, 3], "flags": ["", "few pixels", "no core"]})
    assert with_flag(table, "new", np.array([True, True, False]))["flags"].tolist() == [
        "new",
        "few pixels;new",
        "no core",
    ]
    assert table["flags"].tolist() == ["", "few pixels", "no core"]
    assert with_flag(table.iloc[:0], "new", np.zeros(0, bool))["flags"].dtype == object
