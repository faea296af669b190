"""Explorers, one file each: ``explore`` in the form that the table of explorers promises, and what it measures."""
