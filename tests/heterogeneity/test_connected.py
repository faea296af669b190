"""Whether particles that touch are alike: size of the test, power, and parts of the network."""

import numpy as np
import pandas as pd

from stxmdist.heterogeneity.analyses.connectivity import connectivity
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.connected import alike_by_contact, parts_of

SIZE = (0.03, 0.07)
"""Of the test at 5 %, from the reference"""


def chain(n: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Particles in chains of a length."""
    one = np.arange(n - 1)
    inside = (one + 1) % length > 0
    return one[inside], one[inside] + 1


def test_states_that_do_not_know_of_one_another_are_rarely_called_alike() -> None:
    rng = np.random.default_rng(1)
    one, other = chain(60, 4)
    part, degree = parts_of(60, one, other)
    assert np.bincount(part).tolist() == [4] * 15
    assert degree.sum() == 2 * one.size
    repeats, called, icc = 1500, 0, []
    for _ in range(repeats):
        found = alike_by_contact(rng.beta(0.5, 0.5, 60), one, other, part, rng, 99)
        called += found.p <= 0.05
        icc.append(found.icc)
    print(f"size of the contact test {called / repeats:.3f}, icc of nothing {np.mean(icc):+.3f}")
    assert SIZE[0] <= called / repeats <= SIZE[1]
    assert abs(np.mean(icc)) < 0.02


def test_parts_with_a_state_of_their_own_are_found() -> None:
    rng = np.random.default_rng(2)
    one, other = chain(80, 4)
    part, _ = parts_of(80, one, other)
    found = alike_by_contact(rng.normal(0, 0.2, 20)[part] + rng.normal(0, 0.2, 80), one, other, part, rng, 499)
    assert found.p < 0.05
    assert 0.2 < found.icc < 0.8


def test_fields_with_few_contacts_say_so() -> None:
    particles = pd.DataFrame({"scan_id": ["s"] * 3, "particle_id": [1, 2, 5], "soc_mean": [0.1, 0.2, 0.9]})
    edges = pd.DataFrame({"scan_id": ["s", "s"], "particle_id": [1, 2], "neighbour_id": [2, 4], "gap_nm": [0.0, 9.0]})
    nothing = pd.DataFrame()
    evidence = Evidence(particles, particles, nothing, nothing, nothing, "stxm", 0, contacts=edges)
    (row,) = connectivity(evidence).to_dict("records")
    # The particle 4 is not in the table.
    assert (row["n_contacts"], row["n_components"], row["isolated_share"]) == (1, 2, 1 / 3)
    assert row["giant_share"] == 2 / 3
    assert np.isclose(row["soc_giant"], 0.15)
    assert row["soc_isolated"] == 0.9
    assert row["note"].startswith("1 contacts between particles")
    assert len(connectivity(Evidence(nothing, nothing, nothing, nothing, nothing, "stxm", 0))) == 0
