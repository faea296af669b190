"""Ptychography files as a beamline writes them; wide-field ones are written by stxmdist.writers."""
