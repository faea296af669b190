"""Prefect flows: what runs when, with which names and schedules. They schedule and do nothing else."""
