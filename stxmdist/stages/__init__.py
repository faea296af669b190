"""The stages of a campaign: each reads the store, calls pure functions, and writes."""
