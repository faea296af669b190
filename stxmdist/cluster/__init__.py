"""Where the work runs: members that start or join a Dask cluster, the check of one, and its certificates."""
