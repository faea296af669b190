"""When a scan was measured, as formats that want a time zone say it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from stxmdist.campaign.times import moment_of


@dataclass(frozen=True)
class Moment:
    """A time with its zone, and what of it was not recorded."""

    time: datetime
    remark: str = ""
    """Empty where the recording says all of it."""

    @property
    def text(self) -> str:
        """ISO 8601 with the zone."""
        return self.time.isoformat()


def span_of(start_said: str, exposure_s: float | None, zone: tzinfo | None) -> tuple[Moment, Moment] | None:
    """Start and earliest end of a scan; None where the recording does not say when it began.

    Parameters
    ----------
    start_said
        as the beamline wrote it
    exposure_s
        all dwell times together, without what motors took; None where they are not known
    zone
        of recordings that do not name theirs, which are in local time; UTC if None, and then the remark says so
    """
    start = moment_of(start_said)
    if start is None:
        return None
    remark = ""
    if start.tzinfo is None:
        start = start.replace(tzinfo=zone or UTC)
        remark = "time zone not recorded: " + ("taken for UTC" if zone is None else f"taken for {zone}, as was asked")
    end = start + timedelta(seconds=exposure_s or 0.0)
    earliest = "not recorded: the earliest possible, the start" + ("" if exposure_s is None else " and all dwell times")
    return Moment(start, remark), Moment(end, "; ".join(filter(None, (earliest, remark))))
