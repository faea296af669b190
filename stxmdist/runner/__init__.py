"""One runner for every stage: skips what is done, keeps workers busy, retries, sets aside what keeps failing."""

CAMPAIGN = "campaign"
"""Stands where a scan's identifier stands, for outputs and failures of the whole campaign."""
