"""The next beamtime from a finished campaign: particles, regions, electrodes, energies and photons."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from storage.store import Store
from stxmdist.campaign.manifest import Campaign, load
from stxmdist.commands.energies import DEFAULT_PHOTONS, ProposedEnergies, Sample, energies
from stxmdist.heterogeneity.design import Costs, Design, Limits, floor, half_width, photons_for
from stxmdist.heterogeneity.pilot import PilotSpread, pilot_spread
from stxmdist.markup import list_html, paragraph_html, table_html
from stxmdist.planning.next_beamtime import CURVE_ELECTRODES, Case, NextBeamtime, Wish, next_beamtime
from stxmdist.planning.pilot import PilotScans, pilot_scans, published_table
from stxmdist.planning.published import PublishedCampaign
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES

USUAL = Sample(thickness_nm=150.0, pixel_nm=30.0, particle_um=0.5)
"""Where the pilot does not say"""
USUAL_SOC_ERROR = 0.03
MOST_FIXED = 3
"""Energies with which the shift of the energy scale cannot be fitted beside the two thicknesses"""


@dataclass(frozen=True, eq=False)
class Light:
    """Energies, and the photons that bring a particle of the pilot's to the wanted error."""

    proposed: ProposedEnergies
    pixels_of_particle: float
    soc_error: float
    """Wanted standard error of a particle"""
    photons: float
    """Per pixel, summed over the energies"""
    dose_mgy: float

    @property
    def rows(self) -> list[dict[str, float]]:
        """A row for each energy: eV, share of the dwell time where the beam is constant, photons per pixel."""
        return [row | {"photons": self.photons * row["share"]} for row in self.proposed.rows]

    def as_dict(self) -> Mapping[str, object]:
        """All of it, for JSON."""
        return {
            "edge": self.proposed.edge,
            "energies": self.rows,
            "photons_per_pixel": self.photons,
            "dose_mgy": self.dose_mgy,
            "soc_error": self.soc_error,
            "sample": asdict(self.proposed.sample) | {"pixels_of_particle": self.pixels_of_particle},
        }


@dataclass(frozen=True, eq=False)
class BeamtimeDesign:
    """A plan for the next beamtime, with what it rests on."""

    endpoint: str
    wish: Wish
    pilot: PilotSpread
    scans: PilotScans
    plan: NextBeamtime
    light: Light | None
    why_no_light: str = ""
    """Why energies and photons are not planned; empty where they are"""

    @property
    def reached(self) -> bool:
        """Whether each case has a design."""
        return self.plan.reached

    def table(self) -> pd.DataFrame:
        """A row for each design that reaches the wish, of each case; ``proposed`` marks those with least beamtime."""
        rows: list[dict[str, object]] = [
            {"case": case.name, **design_row(case, one, self.plan.costs), "proposed": one == case.proposed}
            for case in self.plan.cases
            for one in case.designs
        ]
        return pd.DataFrame(rows)

    def as_dict(self) -> Mapping[str, object]:
        """All of it in lists and mappings, for JSON."""
        light = {"energies": [], "light": self.why_no_light} if self.light is None else self.light.as_dict()
        return {
            "endpoint": self.endpoint,
            "half_width": self.wish.half_width,
            "effect": self.wish.effect,
            "power": self.wish.power,
            "paired": self.wish.paired,
            "pilot": asdict(self.scans),
            "unknown": self.pilot.unknown,
            "assumed": self.plan.assumed,
            "costs_min": asdict(self.plan.costs),
            "reached": self.reached,
            "cases": [_case_document(case, self.plan.costs) for case in self.plan.cases],
            "power_at": {"regions": self.plan.regions, "particles": self.plan.particles},
            **light,
        }

    def _repr_html_(self) -> str:
        costs = self.plan.costs
        rows = [{"case": c.name, **design_row(c, c.proposed, costs)} for c in self.plan.cases if c.proposed is not None]
        said = [
            *(f"not known: {each}" for each in self.pilot.unknown),
            *(f"assumed: {each}" for each in self.plan.assumed),
        ]
        out = [c.name for c in self.plan.cases if c.proposed is None]
        said += [f"{name}: an interval of +- {self.wish.half_width:g} is out of reach" for name in out]
        light = paragraph_html(self.why_no_light) if self.light is None else table_html(self.light.rows)
        return table_html(rows) + list_html(said) + light


def design(
    path: str | Path, wish: Wish, *, endpoint: str = "soc_mean", n: int = 5, most_electrodes: int = 40
) -> BeamtimeDesign:
    """Plan particles, regions, electrodes, energies and photons from the variances of a finished campaign.

    Parameters
    ----------
    endpoint
        of the table ``variance``
    n
        number of energies
    most_electrodes
        no design with more is sought

    Raises
    ------
    InputError
        for wishes that cannot be, and a campaign without results.
    """
    wish.checked()
    campaign = load(path, lenient=True)
    published = PublishedCampaign(Store(campaign.store).open())
    scans = pilot_scans(published, campaign)
    found = without_light(published, campaign, scans, wish, endpoint=endpoint, most_electrodes=most_electrodes)
    if campaign.chemistry not in CHEMISTRIES:
        why = f"Energies and photons are not planned: the library has no spectra of chemistry {campaign.chemistry}."
        return replace(found, why_no_light=why)
    return replace(found, light=_light(campaign.chemistry, n, scans, wish))


def without_light(
    published: PublishedCampaign,
    campaign: Campaign,
    scans: PilotScans,
    wish: Wish,
    *,
    endpoint: str = "soc_mean",
    most_electrodes: int = 40,
) -> BeamtimeDesign:
    """Plan particles, regions and electrodes of a campaign whose scans have been looked at already.

    Raises
    ------
    InputError
        as `design`.
    """
    pilot = pilot_spread(published_table(published, campaign, "variance"), endpoint, wish.electrode_sd)
    plan = next_beamtime(pilot, scans, wish, Limits(electrodes=most_electrodes))
    return BeamtimeDesign(endpoint, wish, pilot, scans, plan, None)


def sample_of(scans: PilotScans) -> Sample:
    """What the pilot's particles were like; what it does not say is as usual."""
    return Sample(
        _or(scans.thickness_nm, USUAL.thickness_nm),
        _or(scans.pixel_nm, USUAL.pixel_nm),
        _or(scans.particle_um, USUAL.particle_um),
    )


def design_row(case: Case, one: Design, costs: Costs) -> dict[str, float]:
    """A design in numbers: how much of everything, beamtime in hours, half-width, and what electrodes alone leave."""
    return {
        "electrodes": one.electrodes,
        "regions": one.regions,
        "particles": one.particles,
        "in_all": one.n_particles,
        "hours": round(one.minutes(costs) / 60.0, 1),
        "half_width": half_width(case.spread, one),
        "floor": floor(case.spread, one.electrodes),
    }


def _case_document(case: Case, costs: Costs) -> dict[str, object]:
    return {
        "name": case.name,
        "variance": asdict(case.spread),
        "optimal_particles": case.optimal_particles,
        "floor": case.floor,
        "proposed": None if case.proposed is None else design_row(case, case.proposed, costs),
        "designs": [design_row(case, one, costs) for one in case.designs],
        "electrodes_for_power": case.electrodes_for_power,
        "power_curve": [
            {"electrodes": n, "power": value} for n, value in zip(CURVE_ELECTRODES, case.power, strict=False)
        ],
    }


def _light(chemistry: str, n: int, scans: PilotScans, wish: Wish) -> Light:
    sample = sample_of(scans)
    pixels = _or(scans.pixels_of_particle, sample.pixels_of_particle)
    wanted = wish.soc_error or _or(scans.soc_se, USUAL_SOC_ERROR)
    proposed = energies(chemistry, n, sample=sample, photons=DEFAULT_PHOTONS, shift=n > MOST_FIXED)
    pixel_error = math.sqrt(float((proposed.choice.soc_sigma**2).mean()))
    photons = photons_for(pixel_error / math.sqrt(pixels), DEFAULT_PHOTONS, wanted)
    return Light(proposed, pixels, wanted, photons, proposed.choice.dose_mgy * photons / DEFAULT_PHOTONS)


def _or(value: float, usual: float) -> float:
    return value if math.isfinite(value) and value > 0 else usual
