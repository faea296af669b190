"""Workers that the Dask gateway of a site starts, wherever it has them: on Kubernetes, Slurm, or its own machine."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from stxmdist.campaign.clusters import AnyCluster, WorkerRange, Workers
from stxmdist.campaign.problems import did_you_mean, one_of
from stxmdist.campaign.strict import WorkerMemory
from stxmdist.cluster.contract import Purpose, Started, not_installed, silence_dask
from stxmdist.errors import InputError

if TYPE_CHECKING:
    from dask_gateway import Gateway, GatewayCluster

_HTTP = r"^https?://[^\s@]+$"
_PROXY = r"^(tls|tcp|gateway)://[^\s@]+:\d+$"


class GatewaySpec(AnyCluster):
    """A cluster of a Dask gateway; who asks for it is in Dask's own configuration, never in a campaign file."""

    kind: ClassVar[str] = "gateway"
    address: Annotated[str, Field(pattern=_HTTP, description="an address such as https://host, without a password")]
    """Of the gateway."""
    proxy_address: Annotated[str, Field(pattern=_PROXY, description="an address such as tls://host:8786")] | None = None
    """Of its schedulers; that of the gateway unless said."""
    workers: WorkerRange = Workers()
    """At once: ``{minimum: 0, maximum: 8}``, or the maximum alone."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Units that one of its workers computes at once; the gateway decides, and the runner must know."""
    memory: WorkerMemory | None = None
    """Of one of its workers, as far as it is known here."""
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """What the gateway lets its users choose, by its own names, such as ``worker_memory`` or ``image``."""

    @property
    def most_workers(self) -> int:
        return self.workers.maximum

    @property
    def worker_bytes(self) -> int | None:
        return self.memory

    @property
    def words(self) -> str:
        return f"up to {self.most_workers} workers of {self.address}"

    def smallest(self) -> AnyCluster:
        return self._with(workers=Workers(minimum=0, maximum=1))


def start(spec: AnyCluster, purpose: Purpose) -> Started:
    """A scheduler and workers of the gateway, which end with the run; all traffic to them is TLS, by its certificates.

    Raises
    ------
    InputError
        where dask-gateway is not installed, the gateway does not answer or does not know who asks, and for options that
        it does not offer.
    """
    assert isinstance(spec, GatewaySpec)
    try:
        from dask_gateway import Gateway
    except ImportError as error:
        raise not_installed("the gateway", "dask-gateway", "gateway", error) from error
    from distributed.utils import LoopRunner

    silence_dask()
    # Its clients close themselves once more when they are forgotten, and complain if their loop has ended by then.
    running = LoopRunner()
    running.start()
    gateway = Gateway(spec.address, proxy_address=spec.proxy_address, loop=running.loop)
    _refuse_unknown_options(spec, _asked(spec, gateway))
    cluster = _begun(spec, gateway)
    cluster.adapt(minimum=spec.workers.minimum, maximum=spec.workers.maximum)
    name = cluster.name
    return Started(
        cluster,
        cluster.shutdown,
        cluster.security,
        coming=spec.workers.maximum * spec.threads,
        waiting=lambda: _why_none_comes(spec, gateway, name),
    )


def _asked(spec: GatewaySpec, gateway: "Gateway") -> dict[str, Any]:
    """What the gateway lets its users choose: the first question that it is asked."""
    try:
        return dict(gateway.cluster_options())
    except Exception as error:
        # Its client has no class of errors of its own for this: aiohttp's, ValueError and Exception come.
        words = f"{type(error).__name__}: {error}".split("\n")[0][:300]
        if "401" in words or "403" in words or "unauthorized" in words.lower():
            mend = "Set `gateway.auth` in Dask's configuration (~/.config/dask, or DASK_GATEWAY__AUTH__TYPE ...)"
            raise _wrong("the gateway does not know who asks", words, mend) from error
        mend = "Correct `address`, or wait until it runs"
        raise _wrong(f"no gateway answers at {spec.address}", words, mend) from error


def _refuse_unknown_options(spec: GatewaySpec, offered: dict[str, Any]) -> None:
    for name in spec.options:
        if name not in offered:
            raise InputError(
                where=f"cluster.options.{name}",
                problem="the gateway offers no such choice",
                got=name,
                wanted=one_of(offered) if offered else "no options: this gateway offers none",
                mend=did_you_mean(name, list(offered), "Remove it"),
            )


def _begun(spec: GatewaySpec, gateway: "Gateway") -> "GatewayCluster":
    from dask_gateway import GatewayClusterError
    from dask_gateway.client import GatewayServerError

    try:
        return gateway.new_cluster(shutdown_on_close=True, **spec.options)
    except (GatewayClusterError, GatewayServerError, ValueError, TimeoutError) as error:
        raise _wrong("the gateway starts no cluster", str(error), "Ask who runs the gateway for its logs") from error


def _why_none_comes(spec: GatewaySpec, gateway: "Gateway", name: str) -> str:
    found = {report.name: report.status.name for report in gateway.list_clusters()}
    if name in found:
        return f"no worker has come yet; the gateway says that the cluster is {found[name]}"
    raise _wrong("the gateway has ended the cluster", f"no cluster {name}", "Ask who runs the gateway for its logs")


def _wrong(problem: str, got: str, mend: str) -> InputError:
    return InputError(where="cluster", problem=problem, got=got, wanted="a cluster of the gateway", mend=mend)
