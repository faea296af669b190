"""A simulated campaign compared with its truth."""
