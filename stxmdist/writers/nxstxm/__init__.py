"""NXstxm, image stacks in HDF5, as six beamlines write them."""
