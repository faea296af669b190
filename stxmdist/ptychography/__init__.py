"""Far-field ptychography: from diffraction frames over scan positions to the complex transmission and the
illumination.
"""
