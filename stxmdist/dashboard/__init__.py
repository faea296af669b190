"""The pages that a group follows at the beamtime: a face that reads what is published, and computes nothing of it."""
