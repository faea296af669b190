"""What is done with the cluster of a campaign beside running on it."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

from stxmdist.cluster.certificates import make, own_folder
from stxmdist.cluster.start import cluster_of
from stxmdist.commands.notes import Note, unsaid
from stxmdist.planning.execute import campaign_and_options, cluster_spec, purpose_of


@dataclass(frozen=True)
class CheckedCluster:
    """A cluster on which the campaign can run."""

    cluster: str
    """Its kind, and how many workers it may have"""
    host: str
    """Where the worker was"""
    python: str
    executable: str
    differences: tuple[str, ...]
    """Packages of other versions than here, in words"""
    seconds: float

    @property
    def sentence(self) -> str:
        """All of it, for people."""
        return (
            f"{self.cluster}: a worker on {self.host} with {self.executable} (Python {self.python}) has the same "
            f"version and sees the store and the files; {self.seconds:.0f} s"
        )

    def as_dict(self) -> dict[str, object]:
        """JSON-able."""
        return asdict(self) | {"sentence": self.sentence}


def check(
    path: str | Path, cluster: str | None = None, *, most_seconds: float = 120.0, note: Note = unsaid
) -> CheckedCluster:
    """Start one worker of a campaign's cluster, let it look around, and end it.

    Raises
    ------
    CampaignError
        with every mistake of the campaign file.
    InputError
        with the first thing that is wrong with the cluster.
    """
    campaign, options = campaign_and_options(path)
    spec = cluster_spec(campaign, cluster)
    began = time.perf_counter()
    with cluster_of(spec.smallest(), purpose_of(campaign, options)) as started:
        found = started.check(most_seconds, note)
    return CheckedCluster(
        spec.words, found.host, found.python, found.executable, found.differences, time.perf_counter() - began
    )


def make_certificates(folder: Path | None = None) -> Path:
    """Make certificates for Dask between hosts; the folder with them.

    Raises
    ------
    InputError
        where there are certificates already.
    """
    folder = (folder or own_folder()).absolute()
    make(folder)
    return folder
