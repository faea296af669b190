"""End-member spectra: where they come from, how sure they are, and where on the energy scale they lie."""
