"""Images of one field at several photon energies, a file each, as one stack."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from stxmdist.arrays import F32, F64
from stxmdist.errors import InputError
from stxmdist.readers import axes
from stxmdist.readers.recording import Recording, StxmRecording
from stxmdist.readers.settled import step_nm

# Pixels of one field differ by rounding only.
SAME_PIXEL = 0.01
# A stage comes back to a field within a part of it; farther away it is another one, which nothing aligns.
SAME_FIELD = 0.25


def joined(recordings: Sequence[Recording]) -> StxmRecording:
    """One stack of images that several files hold, ordered by photon energy, on the axes of the first.

    Each image keeps its own dwell time and ring current. Where the stage came back to a slightly other position the
    images are taken as they lie in their files; a note says so, and alignment finds the rest.

    Raises
    ------
    InputError
        for ptychography, for files that are named twice, and for images of other sizes, pixels or fields.
    """
    images = [_wide(recording) for recording in recordings]
    first = images[0]
    for image in images[1:]:
        _refuse_other_field(first, image)
    _refuse_repeated([image.source for image in images])
    energy_ev = np.concatenate([image.energy_ev for image in images])
    order, order_notes = axes.energy_order(energy_ev, first.source)
    places = [(number, index) for number, image in enumerate(images) for index in range(len(image.energy_ev))]
    return replace(
        first,
        energy_ev=energy_ev[order],
        dwell_ms=np.concatenate([image.dwell_ms for image in images])[order],
        ring_current_ma=np.concatenate([image.ring_current_ma for image in images])[order],
        frame_class=np.concatenate([image.frame_class for image in images])[order],
        read=partial(_read, tuple(images), tuple(places[index] for index in order)),
        files=tuple(dict.fromkeys(file for image in images for file in image.files)),
        start_time=min((image.start_time for image in images if image.start_time), default=""),
        lacks=tuple(dict.fromkeys(lack for image in images for lack in image.lacks)),
        notes=(
            f"one stack of {len(images)} files",
            *dict.fromkeys(note for image in images for note in image.notes),
            *_moved(first, images[1:]),
            *order_notes,
        ),
    )


def _read(images: tuple[StxmRecording, ...], places: tuple[tuple[int, int], ...], index: int) -> F32:
    number, energy = places[index]
    return images[number].read(energy)


def _wide(recording: Recording) -> StxmRecording:
    if isinstance(recording, StxmRecording):
        return recording
    raise InputError(
        where=recording.source,
        problem="several files make a stack of wide-field images only",
        got="a ptychography scan",
        wanted="one file for each ptychography scan",
        mend="Give it a row of its own in the sample sheet",
    )


def same_field(first: StxmRecording, image: StxmRecording) -> bool:
    """Whether two images are of one field: as many pixels, of one size, at one place within a part of the field."""
    shapes = [(len(one.y_um), len(one.x_um)) for one in (first, image)]
    pixels = [(step_nm(one.y_um), step_nm(one.x_um)) for one in (first, image)]
    alike = shapes[0] == shapes[1] and np.allclose(pixels[0], pixels[1], rtol=SAME_PIXEL, equal_nan=True)
    return bool(alike and _away(first, image) <= SAME_FIELD)


def _refuse_other_field(first: StxmRecording, image: StxmRecording) -> None:
    if same_field(first, image):
        return
    got = f"{image.source.name}: {_in_words(image)}; {first.source.name}: {_in_words(first)}"
    raise InputError(
        where=image.source,
        problem="the files are not images of one field",
        got=got,
        wanted="the same number and size of pixels, at the same place",
        mend="Name in one row the images of one field; give the others rows of their own",
    )


def _in_words(image: StxmRecording) -> str:
    middle_um = [float(axis[0] + axis[-1]) / 2 for axis in (image.y_um, image.x_um)]
    return (
        f"{len(image.y_um)} x {len(image.x_um)} pixels of {step_nm(image.x_um):.4g} nm around "
        f"y {middle_um[0]:.4g}, x {middle_um[1]:.4g} um"
    )


def _away(first: StxmRecording, image: StxmRecording) -> float:
    """How far an image lies from the first, as a share of the field."""
    both = ((first.y_um, image.y_um), (first.x_um, image.x_um))
    return max(_shift_um(a, b) / (float(np.ptp(a)) or np.inf) for a, b in both)


def _shift_um(first: F64, other: F64) -> float:
    return abs(float(np.mean(other - first)))


def _moved(first: StxmRecording, others: Sequence[StxmRecording]) -> tuple[str, ...]:
    most_um = max((max(_shift_um(first.y_um, o.y_um), _shift_um(first.x_um, o.x_um)) for o in others), default=0.0)
    if most_um * 1e3 <= SAME_PIXEL * max(step_nm(first.x_um), step_nm(first.y_um)):
        return ()
    return (f"positions of the files differ by up to {most_um * 1e3:.0f} nm: those of {first.source.name} are taken",)


def _refuse_repeated(sources: Sequence[Path]) -> None:
    repeated = [path for path in dict.fromkeys(sources) if sources.count(path) > 1]
    if repeated:
        raise InputError(
            where=repeated[0],
            problem="the file is named twice for one scan",
            got=" and ".join(path.name for path in sources),
            wanted="each file once",
            mend="Take it out once",
        )
