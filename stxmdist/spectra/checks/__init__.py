"""Checks of a fit: which pixels may be trusted, what residuals look like, and what shared errors do."""
