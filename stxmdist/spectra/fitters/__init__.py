"""Fitters: from the transmission of a pixel to the thicknesses of the end-members, one file each."""
