"""A cluster that is started when it is needed, checked before its first unit, and ended with the run."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from stxmdist.campaign.clusters import CLUSTERS, AnyCluster
from stxmdist.cluster.check import CheckedWorker, check
from stxmdist.cluster.contract import Purpose, Start, Started, no_scheduler, silence_dask

if TYPE_CHECKING:
    from distributed import Client


class Cluster:
    """A Dask cluster that is started when the first unit needs it, so that a run with nothing to do costs nothing."""

    def __init__(self, spec: AnyCluster, purpose: Purpose | None = None) -> None:
        self.spec = spec
        self.purpose = purpose or Purpose()
        self._started: Started | None = None
        self._client: Client | None = None

    def client(self) -> "Client":
        """The client; starts or joins the cluster on first use.

        Raises
        ------
        InputError
            when no scheduler answers, or the cluster cannot be started.
        """
        if self._client is None:
            self._join()
            if self.spec.kind != "local":
                # Without this, each unit would fail by itself for one and the same reason.
                self.check()
        return self._join()

    def _join(self) -> "Client":
        if self._client is None:
            from distributed import Client

            start = cast(Start, CLUSTERS[self.spec.kind].load())
            self._started = start(self.spec, self.purpose)
            try:
                self._client = Client(self._started.target, security=self._started.security, set_as_default=False)
            except OSError as error:
                raise no_scheduler(self._started.target, error) from error
        return self._client

    def check(
        self, most_seconds: float | None = None, waits: Callable[[str], None] = lambda why: None
    ) -> CheckedWorker:
        """Let one worker of the cluster look around, with the store and the files of its purpose.

        Raises
        ------
        InputError
            with the first thing that is wrong.
        """
        client = self._join()
        assert self._started is not None
        return check(client, self._started, self.purpose, most_seconds, waits)

    @property
    def coming(self) -> int:
        """Threads that the cluster grows to while there are units; 0 where it stays as it is."""
        return 0 if self._started is None else self._started.coming

    def last_words(self, address: str) -> str:
        """The end of what the worker at an address printed; empty where nobody kept it."""
        return "" if self._started is None or not address else self._started.last_words(address)

    @property
    def dashboard(self) -> str | None:
        """Address of the Dask dashboard, if the cluster runs."""
        return None if self._client is None else str(self._client.dashboard_link)

    def close(self) -> None:
        """End what this object started; a scheduler that was there before stays."""
        client, started = self._client, self._started
        self._client = self._started = None
        if client is not None:
            if client.status != "running":
                # The scheduler is gone, which is said elsewhere; Dask would print how it looks for it.
                silence_dask(logging.CRITICAL)
            client.close()
        if started is not None:
            started.close()


@contextmanager
def cluster_of(spec: AnyCluster, purpose: Purpose | None = None) -> Iterator[Cluster]:
    """A cluster for the length of a block."""
    cluster = Cluster(spec, purpose)
    try:
        yield cluster
    finally:
        cluster.close()
