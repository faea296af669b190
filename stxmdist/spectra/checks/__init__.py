"""Checks of a fit: mask classes of pixels, tests of residuals, and the effect of systematic errors."""
