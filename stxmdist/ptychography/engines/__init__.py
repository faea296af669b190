"""Reconstruction engines: how object and probe are corrected, one file for each family."""
