"""Compiled loops over blocks of pixels, which the fitters and explorers call."""
