"""Small files of every format, written by hand so that they do not share mistakes with any writer of the project."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.readers.examples import cxi, ncb, nxstxm, ptyd, pystxmcontrol, sdf, stk, tiff
from tests.readers.examples.planted import diffraction_frames, planted_counts


@pytest.fixture
def planted() -> np.ndarray:
    return planted_counts()


@pytest.fixture
def diffraction() -> np.ndarray:
    return diffraction_frames()


@pytest.fixture
def write_sdf() -> Callable[..., Path]:
    return sdf.write


@pytest.fixture
def write_nxstxm() -> Callable[..., Path]:
    return nxstxm.write


@pytest.fixture
def write_cxi() -> Callable[..., Path]:
    return cxi.write


@pytest.fixture
def write_pystxmcontrol() -> Callable[..., Path]:
    return pystxmcontrol.write


@pytest.fixture
def write_ptyd() -> Callable[..., Path]:
    return ptyd.write


@pytest.fixture
def write_stk() -> Callable[..., Path]:
    return stk.write


@pytest.fixture
def write_ncb() -> Callable[..., Path]:
    return ncb.write


@pytest.fixture
def write_tiff() -> Callable[..., Path]:
    return tiff.write
