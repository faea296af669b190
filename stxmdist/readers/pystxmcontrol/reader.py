"""Ptychography files of pystxmcontrol (ALS): raw camera frames, one by one, in a file that is otherwise NXstxm.

``entry0/ccd0/exp`` holds the frames, ``entry0/ccd0/dark`` those with the shutter closed, each a dataset by its number;
``metadata`` is JSON. A file is one photon energy. With double exposure every position has a short and a long frame,
numbered in turn.
"""

from functools import partial
from pathlib import Path

import numpy as np

from stxmdist.readers import hdf5
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.description import described, ptychography_facts
from stxmdist.readers.frames.centring import centred
from stxmdist.readers.ptychography_checks import refuse_near_field
from stxmdist.readers.pystxmcontrol.frames import frames_of, read
from stxmdist.readers.pystxmcontrol.scan import camera_of, frame_numbers, scan_of
from stxmdist.readers.recording import Description, Facts, PtychographyRecording


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is HDF5 with camera frames of pystxmcontrol."""
    if not hdf5.has_signature(head):
        return False
    with hdf5.opened(path) as tree:
        return camera_of(tree) is not None


def describe(path: Path) -> Description:
    """What the file holds."""
    with hdf5.opened(path) as tree:
        camera = camera_of(tree)
        facts: Facts = {
            "camera": camera,
            "camera_frames": len(frame_numbers(tree, f"{camera}/exp")),
            "dark_frames": len(frame_numbers(tree, f"{camera}/dark")),
        }
    return described(path, "pystxmcontrol", "ptychography", facts, open, ptychography_facts)


def open(path: Path, choices: ReadChoices) -> tuple[PtychographyRecording, ...]:
    """The ptychography scan of a file, at its one photon energy.

    Raises
    ------
    InputError
        for a damaged file, one that lacks what a reconstruction needs, or frames that are not those of its scan.
    """
    with hdf5.opened(path) as tree:
        scan = scan_of(tree)
        frames = frames_of(tree, scan)
        files = tree.files
    way = scan.orientation
    pixel_um = scan.pixel_um[::-1] if way.transposed else scan.pixel_um
    refuse_near_field(
        path,
        path,
        scan.title,
        energy_ev=scan.energy_ev,
        distance_m=scan.distance_m,
        pixel_um=pixel_um,
        positions_um=scan.positions_um,
    )
    recording = PtychographyRecording(
        source=path,
        format="pystxmcontrol",
        energy_ev=np.array([scan.energy_ev]),
        positions_um=scan.positions_um[None],
        frame_shape=way.shape(scan.frame_shape),
        frame_dtype=np.dtype(np.float32),
        good=way.canonical(centred(np.ones(scan.frame_shape, bool), frames.centre)).astype(bool),
        distance_m=scan.distance_m,
        detector_pixel_um=pixel_um,
        illumination=None,
        read=partial(read, path, frames),
        files=files,
        dwell_ms=float(np.sum(scan.dwell_ms)),
        orientation=way.words,
        start_time=scan.start_time,
        lacks=("mask (all pixels are taken as good)", *scan.lacks),
        notes=scan.notes + frames.notes,
    )
    return (recording,)


__all__ = ["describe", "detects", "open"]
