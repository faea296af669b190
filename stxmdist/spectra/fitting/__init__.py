"""The fit of a stack: its spectral model, and blocks of its pixels from transmission to state of charge and classes."""
