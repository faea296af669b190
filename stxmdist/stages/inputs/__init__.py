"""What several stages read: corrected counts, stacks frame by frame, the spectral model of a scan."""
