"""Explorers: what a stack holds before end-members are chosen, one block of pixels at a time."""
