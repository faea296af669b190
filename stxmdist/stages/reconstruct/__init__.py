"""Reconstruct: the diffraction frames of a tile become object and probe."""
