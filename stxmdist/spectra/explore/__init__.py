"""Explorers: what a stack contains, found without end-members, one block of pixels at a time."""
