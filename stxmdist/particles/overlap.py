"""Plates that lie on each other: two thicknesses within one outline, with a step between."""

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, I32, I64, Mask, Real
from stxmdist.particles.segment import smoothed

RIM_SIGMAS = 2.0
"""Sigmas of the point spread function at a rim where thickness is not looked at."""
LEAST_RATIO = 1.2
"""Of the two thicknesses: plates of one powder that overlap add theirs, and the thicker part has more than this."""
LEAST_SHARE = 0.06
"""Of the pixels away from the rim that each of the two thicknesses holds."""
LEAST_MISFIT = 0.05
"""Relative difference from one plate of one thickness below which nothing is suspected; single planted plates have at
most 0.02, plates with a texture of 15 % have 0.03."""
SMOOTH_RATIO, SMOOTH_MISFIT = 1.12, 0.065
"""The ratio that is enough where nothing narrow was filled, and the misfit that it needs: the blur hides a plate that
lies on all but the rim of another, or reaches beyond it by less than a pixel."""
SMOOTH_PIXELS = 20
"""Away from the rim that such a plate has at least; in fewer a crack leaves no groove that could be seen."""
MOST_FILLED = 0.03
"""Share of the thickness that filling adds to at most a tenth of the pixels of such a plate; cracks have 0.13."""
CRACK_SIGMAS = 6.0
"""Grooves up to so many sigmas of the point spread function, and two pixels, are filled first: cracks are no step."""
STACK_RATIO = 1.6
"""Times the median thickness of a field above which a plate may be two that cover each other whole."""
LEAST_PARTICLES = 10
"""Of a field whose median thickness says something."""
LEAST_PIXELS = 12
"""Away from the rim, below which two thicknesses cannot be told."""


def overlapping_plates(
    labels: I32, total_nm: Real, known: Mask, misfit: F64, psf_sigma_px: float, particle_id: I64
) -> Mask:
    """(PARTICLE,) whether a particle looks like two plates on each other.

    The thicknesses away from the rim are cut in two classes (Otsu), after narrow grooves are filled, which are cracks.
    Plates that overlap have two thicknesses, and are not explained by one plate (``misfit`` of ``sharp_sizes``; where
    that is not known, the classes alone decide). Where no groove was filled, and the misfit is known to be large, a
    smaller difference is enough.

    Parameters
    ----------
    labels
        (Y, X) int32
    total_nm
        (Y, X) thickness of both end-members
    misfit
        (PARTICLE,) relative rms difference from the image of one plate; NaN: not known
    particle_id
        (PARTICLE,) labels in increasing order
    """
    smooth = smoothed(total_nm, known & np.isfinite(total_nm), 0.7)
    across = max(3, round(CRACK_SIGMAS * psf_sigma_px + 2.0) | 1)
    boxes = ndimage.find_objects(labels)
    found = np.zeros(len(particle_id), dtype=bool)
    for index, label in enumerate(particle_id.tolist()):
        if misfit[index] < LEAST_MISFIT or boxes[label - 1] is None:
            continue
        box = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in boxes[label - 1])
        here = labels[box] == label
        depth = ndimage.distance_transform_edt(np.pad(here, 1))[1:-1, 1:-1]
        thick = np.where(here, smooth[box], 0.0)
        filled = ndimage.grey_closing(np.pad(thick, across), (across, across))[across:-across, across:-across]
        inner = here & (depth > RIM_SIGMAS * psf_sigma_px + 0.5)
        clear = misfit[index] >= SMOOTH_MISFIT and _is_smooth(filled, thick, inner)
        found[index] = two_thicknesses(filled, inner, SMOOTH_RATIO if clear else LEAST_RATIO)
    return found


def mixture_sd(
    labels: I32, thickness_nm: Real, noise_nm2: Real, known: Mask, psf_sigma_px: float, particle_id: I64
) -> F64:
    """(PARTICLE,) error of a state of charge if another plate lies beside or upon the one that it is said of.

    Where two plates share an outline, its halves along the long axis are mostly one plate each, and the mean of both is
    off by half of what the halves differ; the same is asked across. Where one lies upon the other, the thinner part is
    one plate alone, and the mean is off by what the whole differs from it. All three are added in quadrature: which of
    them holds is not known. What noise makes of the three is taken off. Two phases of one plate look like two plates.

    Parameters
    ----------
    labels
        (Y, X) int32
    thickness_nm
        (2, Y, X) floating, nm of (discharged, charged)
    noise_nm2
        (3, Y, X) floating, what each pixel adds to the noise of a sum: variances and covariance, as 00, 01, 11
    known
        (Y, X) bool
    particle_id
        (PARTICLE,) labels in increasing order

    Source: own (closure on planted plates that lie across one another).
    """
    usable = known & np.isfinite(thickness_nm).all(axis=0) & np.isfinite(noise_nm2).all(axis=0)
    total = np.where(usable, thickness_nm.sum(axis=0), 0.0).astype(np.float64)
    charged = np.where(usable, thickness_nm[1], 0.0).astype(np.float64)
    noise = np.where(usable, noise_nm2, 0.0).astype(np.float64)
    beside = _of_neighbours(total)
    boxes = ndimage.find_objects(labels)
    found = np.zeros(len(particle_id))
    for index, label in enumerate(particle_id.tolist()):
        box = boxes[label - 1] if label <= len(boxes) else None
        if box is None:
            continue
        here = (labels[box] == label) & usable[box]
        depth = ndimage.distance_transform_edt(np.pad(here, 1))[1:-1, 1:-1]
        inner = here & (depth > RIM_SIGMAS * psf_sigma_px + 0.5)
        images = (charged[box], total[box], noise[:, *box])
        if not total[box][here].sum() > 0.0:
            continue
        thin = inner & (beside[box] <= _parting(beside[box][inner]))
        parted = [(here & (along > 0.0), 0.5) for along in _axes(total[box], here)]
        # The whole differs from its thin part by as much as the thick part weighs in it.
        parted.append((thin, 1.0 - float(total[box][thin].sum() / total[box][here].sum())))
        squares = [_without_noise(*images, one, here & ~one, weight) for one, weight in parted]
        found[index] = np.sqrt(max(0.0, float(np.nansum(squares))))
    return found


def hidden_sd(labels: I32, other: I32, thickness_nm: Real, known: Mask, particle_id: I64) -> F64:
    """(PARTICLE,) by how much the mean of a plate may be off that is seen where it lies alone, of plates across others.

    Were both plates everywhere as they are alone, the state of charge where both lie would be the mean of both by
    thickness. What it differs from that is charge of one of them or of the other, over the mass of the whole plate.

    Parameters
    ----------
    labels, other
        (Y, X) int32, a plate, and where two lie the other one of them (0 elsewhere)
    thickness_nm
        (2, Y, X) floating, nm of (discharged, charged)
    known
        (Y, X) bool
    particle_id
        (PARTICLE,) labels in increasing order

    Source: own (closure on planted plates that lie across one another).
    """
    usable = known & np.isfinite(thickness_nm).all(axis=0) & (labels > 0)
    total = np.where(usable, thickness_nm.sum(axis=0), 0.0).astype(np.float64)
    charged = np.where(usable, thickness_nm[1], 0.0).astype(np.float64)
    shared, found = usable & (other > 0), np.zeros(len(particle_id))
    pairs = {(min(one, two), max(one, two)) for one, two in zip(labels[shared], other[shared], strict=True)}
    for pair in sorted((int(one), int(two)) for one, two in pairs):
        both = shared & np.isin(labels, pair)
        alone = [usable & ~shared & (labels == one) for one in pair]
        if min(total[one].sum() for one in alone) <= 0.0 or not total[both].sum() > 0.0:
            continue
        soc = [float(charged[one].sum() / total[one].sum()) for one in alone]
        levels = [float(np.median(total[one])) for one in alone]
        # In proportion to their thicknesses, whatever the thickness of both together is.
        mass = total[both].sum() * np.array(levels) / max(sum(levels), 1e-9)
        excess = abs(float(charged[both].sum()) - float(mass @ soc))
        for number, one, hidden in zip(pair, alone, mass, strict=True):
            found[np.searchsorted(particle_id, number)] = excess / float(total[one].sum() + hidden)
    return found


def _of_neighbours(values: F64) -> F64:
    """(Y, X) median of a pixel's eight neighbours, which keeps steps where they are.

    The pixel itself is left out: those that noise makes thin would be chosen for their noise, and it changes their
    state of charge too.
    """
    ring = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
    return np.asarray(ndimage.median_filter(values, footprint=ring, mode="constant"))


def _without_noise(charged_nm: F64, total_nm: F64, noise_nm2: F64, one: Mask, other: Mask, weight: float) -> float:
    """Square of a share of the difference between two parts, without what noise adds; NaN where one has no mass."""
    first, second = (_soc_and_variance(charged_nm, total_nm, noise_nm2, part) for part in (one, other))
    return weight**2 * ((first[0] - second[0]) ** 2 - first[1] - second[1])


def _soc_and_variance(charged_nm: F64, total_nm: F64, noise_nm2: F64, pixels: Mask) -> tuple[float, float]:
    """State of charge of some pixels (Y, X) together, and its variance by noise; NaN where they have no mass."""
    mass = float(total_nm[pixels].sum())
    if not mass > 0.0:
        return float("nan"), float("nan")
    soc = float(charged_nm[pixels].sum()) / mass
    discharged, both, charged = (float(part[pixels].sum()) for part in noise_nm2)
    return soc, (soc**2 * discharged - 2.0 * soc * (1.0 - soc) * both + (1.0 - soc) ** 2 * charged) / mass**2


def _axes(total_nm: F64, here: Mask) -> tuple[F64, F64]:
    """Distances (Y, X) from the centre of mass of some pixels, along the axis of their largest spread and across."""
    weight = np.maximum(total_nm[here], 0.0)
    rows, columns = np.arange(here.shape[0])[:, None], np.arange(here.shape[1])[None, :]
    grids = (np.broadcast_to(axis, here.shape).astype(np.float64) for axis in (rows, columns))
    y, x = (grid - np.average(grid[here], weights=weight) for grid in grids)
    moments = np.array([[np.sum(weight * a[here] * b[here]) for a in (y, x)] for b in (y, x)])
    _, vectors = np.linalg.eigh(moments)
    long, short = vectors[:, 1], vectors[:, 0]
    return long[0] * y + long[1] * x, short[0] * y + short[1] * x


def _parting(values_nm: F64) -> float:
    """The thickness that parts pixels (PIXEL,) into two classes best (Otsu); all are below where they are few."""
    if values_nm.size < LEAST_PIXELS:
        return float("inf")
    values = np.sort(values_nm)
    below, running = np.arange(1, values.size), np.cumsum(values)
    low, high = running[:-1] / below, (running[-1] - running[:-1]) / (values.size - below)
    return float(values[int(np.argmax(below * (values.size - below) * (high - low) ** 2))])


def _is_smooth(filled_nm: F64, thick_nm: F64, looked: Mask) -> bool:
    """Whether filling narrow grooves leaves the thickness (Y, X) of a plate as it is."""
    if looked.sum() < SMOOTH_PIXELS:
        return False
    added = np.percentile((filled_nm - thick_nm)[looked], 90)
    return bool(added <= MOST_FILLED * np.median(filled_nm[looked]))


def much_thicker(thickness_nm: F64) -> Mask:
    """(PARTICLE,) whether a particle is so much thicker than the others of its field that two may lie on each other.

    More than 1.6 times the median, and more than three standard deviations of the logarithms (1.4826 times the median
    deviation) above it. Fields of few particles say nothing.
    """
    known = np.isfinite(thickness_nm) & (thickness_nm > 0.0)
    found = np.zeros(thickness_nm.shape, dtype=bool)
    if known.sum() < LEAST_PARTICLES:
        return found
    logarithm = np.log(thickness_nm[known])
    above = logarithm - np.median(logarithm)
    spread = 1.4826 * float(np.median(np.abs(above)))
    found[known] = above > max(np.log(STACK_RATIO), 3.0 * spread)
    return found


def two_thicknesses(smooth_nm: F64, looked: Mask, least_ratio: float = LEAST_RATIO) -> bool:
    """Whether pixels (Y, X) hold two patches whose thicknesses have at least a ratio."""
    values = np.sort(smooth_nm[looked])
    n = values.size
    least = max(2, round(LEAST_SHARE * n))
    if n < LEAST_PIXELS or n <= 2 * least:
        return False
    running = np.cumsum(values)
    below = np.arange(least, n - least + 1)
    low, high = running[below - 1] / below, (running[-1] - running[below - 1]) / (n - below)
    best = int(np.argmax(below * (n - below) * (high - low) ** 2))
    return bool(low[best] > 0.0 and high[best] >= least_ratio * low[best])
