"""The map in which particles are looked for: thickness without a film, whether or not one was fitted."""

from stxmdist.arrays import Mask, Real
from stxmdist.particles.film_noise import without_film, without_film_noise
from stxmdist.spectra.fitting.model import SpectralModel, film_covariance
from stxmdist.spectra.fitting.unfitted_film import with_film


def steady_thickness(
    thickness: Real, fitted_film: Real | None, unfitted_film: Real | None, known: Mask, model: SpectralModel
) -> Real:
    """Total thickness (Y, X) in the end-members' unit without what a film adds to it, and without the film's noise.

    ``fitted_film`` (Y, X) is what was fitted with ``model``, ``unfitted_film`` what was left over of a film where none
    was fitted.
    """
    beside = with_film(model)
    if beside is not None and unfitted_film is not None:
        return without_film(thickness, unfitted_film, known, *film_covariance(beside))
    if fitted_film is not None:
        return without_film_noise(thickness, fitted_film, known, *film_covariance(model))
    return thickness
