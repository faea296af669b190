"""Wide-field STXM and ptychography of one place brought together: resolution matched, registered, particles paired."""
