"""A Dask scheduler that runs already, at the address that the campaign or the command line names."""

from stxmdist.campaign.clusters import AnyCluster, ClusterSpec
from stxmdist.cluster.contract import Purpose, Started


def start(spec: AnyCluster, purpose: Purpose) -> Started:
    """Join it; it stays when the run is over."""
    assert isinstance(spec, ClusterSpec)
    assert spec.address is not None, "without an address, the kind is local"
    return Started(spec.address)
