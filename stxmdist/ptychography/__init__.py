"""Far-field ptychography: from diffraction frames at many scan positions to the complex transmission and the probe."""
