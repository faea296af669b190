"""Compiled passes over the frames of a tile, on which the engines stand."""
