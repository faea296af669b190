"""When the deployments of a campaign run. Nothing of Prefect is imported here, so that the command line may ask."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedules:
    """When the deployments of a campaign run; cron lines are five fields: minute, hour, day, month, day of the week."""

    watch_minutes: float = 5.0
    nightly_cron: str = "0 2 * * *"
    maintenance_cron: str = "0 4 * * 0"
    timezone: str = "UTC"
