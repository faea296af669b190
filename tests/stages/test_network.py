"""Contacts of a scan as a table, and tortuosity where the sample is a section and nowhere else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from storage.tables import read_table
from stxmdist.measures import SegmentMeasures
from stxmdist.particles.tortuosity import tortuosity
from stxmdist.planning.stages import STAGES
from stxmdist.records import figures_of
from stxmdist.runner.run import RunRecord, run_stage
from stxmdist.runner.unit import Receipt
from tests.stages.test_react import scan
from tests.stages.two_states import Planted, two_states


@pytest.mark.parametrize("geometry", [None, "dispersed", "lamella"])
def test_contacts_are_written_and_only_sections_have_a_tortuosity(tmp_path: Path, geometry: str | None) -> None:
    centres, radii = np.array([[1.0, 1.0], [1.0, 1.8], [3.5, 3.5]]), np.array([0.4, 0.4, 0.5])
    section = replace(scan("section", None), sample_geometry=geometry)
    survey = two_states(tmp_path, [Planted(section, centres, radii, np.full(3, 0.5), np.zeros(3))], 1)
    segment = survey.output("segment", "section")
    measured = SegmentMeasures(
        particles=3, particles_at_border=0, cover=0.1, particles_with_soc=3, particles_without_soc={},
        pixels_of_field={}, pixels_of_particles={}, psf_sigma_nm=25.0, soc_mean=0.5, thickness_unit="nm", soc_effect={},
        missing_component="two end-members are enough",
    )  # fmt: skip
    segment.mark("scan", Receipt("section", "scan", figures_of(measured), {}, 1.0, 1.0, 1).as_dict())
    stage = STAGES["network"].load()
    report = run_stage(stage, survey, survey.options["network"], survey.store, RunRecord(0, {}), client=None)
    assert not report.refusals
    output = survey.output("network", "section")
    (contact,) = read_table(output.path / "contacts.parquet").to_dict("records")
    assert (contact["particle_id"], contact["neighbour_id"], contact["least_gap_nm"]) == (1, 2, 50.0)
    sections = read_table(output.path / "tortuosity.parquet")
    if geometry != "lamella":
        assert sections["tortuosity"].isna().all()
        assert sections["note"].str.contains("sample_geometry lamella").all()
        return
    assert sections["direction_of_transport"].tolist() == ["vertical", "horizontal"]
    wanted = [tortuosity(segment.read("labels") == 0, axis).tortuosity for axis in (0, 1)]
    np.testing.assert_allclose(sections["tortuosity"], wanted)
    assert (sections["tortuosity"] > 1.0).all()
