"""From component maps to particles: outlines, shapes and the chemistry of each with its uncertainty."""
