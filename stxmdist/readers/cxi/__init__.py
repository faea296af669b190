"""CXI and NXcxi_ptycho, ptychography in HDF5: entries, detector, positions, dark frames."""
