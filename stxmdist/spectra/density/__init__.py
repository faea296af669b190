"""From counts to optical density: the incident beam, corrections for the detector, and the noise."""
