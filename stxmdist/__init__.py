"""From a beamtime of soft X-ray microscopy on battery cathodes to publishable statistics of heterogeneity."""
