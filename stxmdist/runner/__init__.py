"""One runner for every stage: skips what is done, keeps workers busy, retries, sets aside what keeps failing."""
