"""Segment: maps become labelled particles, one row of numbers for each."""
