"""Detector frames made ready: faulty pixels, the beamstop, centring, cutting and binning."""
