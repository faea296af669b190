"""Writers of beamline files, as the beamlines write them."""
