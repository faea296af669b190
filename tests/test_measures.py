"""Records of what stages measure, as JSON and back."""

import pytest

from stxmdist.errors import StoreError
from stxmdist.measures import ExploreMeasures
from stxmdist.records import figures_of, from_json
from stxmdist.spectra.explore.explorers.nmf import NmfMeasures


def test_figures_of_explorers_stand_under_their_names_among_the_others() -> None:
    nmf = NmfMeasures(1.25, 3, 20, True)
    measures = ExploreMeasures(energies=7, explored={"nmf": figures_of(nmf), "targets": {"note": "no spectra"}})
    written = figures_of(measures)
    assert written == {
        "energies": 7,
        "nmf": {"cost_over_noise": 1.25, "passes": 3, "sample_passes": 20, "converged": True},
        "targets": {"note": "no spectra"},
    }
    assert isinstance(written, dict)
    again = from_json(ExploreMeasures, written)
    assert again == measures
    assert again.of("nmf", NmfMeasures) == nmf
    assert again.of("targets", NmfMeasures) is None
    assert again.of("pca", NmfMeasures) is None


def test_a_stack_of_which_nothing_was_found_has_a_note_alone() -> None:
    written = figures_of(ExploreMeasures(note="too few energies"))
    assert written == {"note": "too few energies"}
    assert isinstance(written, dict)
    assert from_json(ExploreMeasures, written).energies is None


def test_figures_of_another_version_are_refused_when_they_are_asked_for() -> None:
    measures = from_json(ExploreMeasures, {"energies": 7, "nmf": {"passes": 3}})
    with pytest.raises(StoreError, match="other fields"):
        measures.of("nmf", NmfMeasures)
