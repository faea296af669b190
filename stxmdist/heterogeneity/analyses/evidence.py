"""What the analyses of a campaign rest on: its particles, its pairs, its sheet and its fields of view."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class Evidence:
    """The tables that all scans of a campaign left, one below the other."""

    particles: pd.DataFrame
    """All particles of both modalities, with the columns of the particle table"""
    kept: pd.DataFrame
    """Those on which statistics rest: without what the field cuts and the campaign's options leave out"""
    pairs: pd.DataFrame
    """Particles that both modalities have seen"""
    sheet: pd.DataFrame
    """One row per scan that takes part, with the columns of the sample sheet"""
    fields: pd.DataFrame
    """One row per scan with particles: ``scan_id, height_um, width_um, pixel_nm`` of its field of view"""
    modality: str
    """On which particles the statistics rest: ``stxm`` or ``ptychography``"""
    seed: int
    reactions: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Particles seen at two times, as ``react`` leaves them; of no columns where no region was"""
    null_bands: pd.DataFrame = field(default_factory=pd.DataFrame)
    """One row per particle of ``particles``: what its metrics show on homogeneous twins"""
    contacts: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Particles that touch, one row per contact, as ``network`` leaves them"""
    tortuosity: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Tortuosity of sections, as ``network`` leaves it"""

    def generator(self, name: str) -> np.random.Generator:
        """A random generator for one analysis, which depends on the campaign's seed and the name alone."""
        words = np.frombuffer(hashlib.sha256(name.encode()).digest()[:16], dtype="<u4")
        return np.random.default_rng([self.seed, *words.tolist()])
