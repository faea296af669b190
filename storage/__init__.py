"""Zarr and Parquet on disk: who may write what, when it becomes visible, and how it is proved whole.

Knows nothing about X-rays.
"""
