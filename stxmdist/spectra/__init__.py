"""From counts to chemistry: optical density, alignment along energy, and the fit of end-member spectra."""
