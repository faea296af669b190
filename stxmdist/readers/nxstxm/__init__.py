"""NXstxm, image stacks in HDF5, in the dialects of six beamlines."""
