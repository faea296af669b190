"""Scans of a Tiled server: runs of Bluesky under the contract of ALS' STXM plan, over plain HTTP."""
