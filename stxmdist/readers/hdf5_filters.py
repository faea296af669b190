"""The filters by which the values of an HDF5 dataset are packed: brought in where hdf5plugin has them, else named."""

from importlib import import_module
from importlib.util import find_spec

import h5py

from stxmdist.errors import InputError
from stxmdist.readers.hdf5_types import Dataset

PLUGIN = "hdf5plugin"
# Numbers that the HDF Group has given out, for what detectors and beamlines write.
NAMES = {
    4: "SZIP",
    307: "bzip2",
    32000: "LZF",
    32001: "Blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32017: "SZ",
    32019: "FCIDECOMP",
    32024: "SZ3",
    32026: "Blosc2",
}
BITSHUFFLE, BITSHUFFLE_CODECS = 32008, {2: "LZ4", 3: "Zstandard"}
"""Bitshuffle's fifth parameter says what packs the bits that it has sorted"""


def provide_filters(dataset: Dataset) -> None:
    """Import hdf5plugin, where it is installed, if the dataset is packed by a filter that HDF5 does not have yet."""
    if _lacking(dataset) and find_spec(PLUGIN) is not None:
        # An installation that does not fit this machine is as good as none: `require_filters` says what is wanted.
        try:
            import_module(PLUGIN)
        except (ImportError, OSError):
            return


def require_filters(dataset: Dataset, where: object) -> None:
    """Refuse a dataset that is packed by a filter that is not there.

    Raises
    ------
    InputError
        with the filter's name and what installs it.
    """
    lacking = _lacking(dataset)
    if lacking:
        raise InputError(
            where=where,
            problem=f"the data are compressed by the filter {' and '.join(lacking)}, and hdf5plugin is not installed",
            got="an HDF5 library without it",
            wanted="the filter, which hdf5plugin brings",
            mend="pip install stxmdist[hdf5plugin]",
        )


def _lacking(dataset: Dataset) -> tuple[str, ...]:
    """Names of the filters of a dataset that HDF5 does not have."""
    made = dataset.id.get_create_plist()
    filters = (made.get_filter(number) for number in range(made.get_nfilters()))
    return tuple(
        _name_of(code, parameters, name) for code, _, parameters, name in filters if not h5py.h5z.filter_avail(code)
    )


def _name_of(code: int, parameters: tuple[int, ...], name: bytes) -> str:
    """A filter in words, with its number: bitshuffle/LZ4 (32008)."""
    known = NAMES.get(code) or name.decode("latin-1").split(";")[0].strip() or "without a name"
    if code == BITSHUFFLE and len(parameters) > 4 and parameters[4] in BITSHUFFLE_CODECS:
        known += f"/{BITSHUFFLE_CODECS[parameters[4]]}"
    return f"{known} ({code})"
