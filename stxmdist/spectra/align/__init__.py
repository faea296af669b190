"""Alignment of a stack along photon energy: the shift of each frame, and the frames moved by it."""
