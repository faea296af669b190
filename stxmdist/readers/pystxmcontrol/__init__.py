"""Ptychography files of pystxmcontrol: raw camera frames in HDF5."""
