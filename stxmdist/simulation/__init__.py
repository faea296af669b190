"""The truth that everything is measured against, and the beamline files made of it."""
