"""End-member spectra: their sources, their uncertainty, and their position on the energy scale."""
