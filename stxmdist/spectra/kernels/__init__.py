"""Compiled loops over blocks of pixels, on which the fitters stand."""
