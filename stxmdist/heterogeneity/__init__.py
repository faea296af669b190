"""Statistics of heterogeneity whose experimental unit is the electrode, never the pixel or the particle."""
