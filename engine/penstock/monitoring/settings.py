"""Whether and where a process lets itself be scraped: what `metrics.*` keys come to."""

from typing import Final, final

import msgspec

from penstock.common.configuration import Configuration
from penstock.common.options import cluster

REPORTER: Final = "prom"
_UNASKED: Final = range(9249, 9349)
"""Where nobody asked for a port, several processes of a machine find one each."""


@final
class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """How labels are written."""

    plain_values: bool = True
    """Letters, digits, colons and underscores only, as Flink's default is."""
    without: frozenset[str] = frozenset()
    """Labels that are left out."""


@final
class PrometheusSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen, and how labels are written."""

    ports: tuple[int, ...]
    """The first that is free is taken."""
    asked: bool
    """Whether somebody asked for it: then it is an error if no port is free."""
    wording: Wording


def prometheus_settings(configuration: Configuration, *, by_default: bool) -> PrometheusSettings | None:
    """None: not at all. `by_default`: also where nobody has asked for it, as in processes of a cluster."""
    get = configuration.get
    listed = configuration.contains(cluster.METRICS_REPORTERS)
    if listed and REPORTER not in get(cluster.METRICS_REPORTERS):
        return None
    excludes: tuple[str, ...] = get(cluster.METRICS_PROMETHEUS_EXCLUDES)
    has_port = configuration.contains(cluster.METRICS_PROMETHEUS_PORT)
    asked = listed or has_port or configuration.contains(cluster.METRICS_PROMETHEUS_FACTORY)
    if not asked and not by_default:
        return None
    return PrometheusSettings(
        ports=get(cluster.METRICS_PROMETHEUS_PORT) if asked else tuple(_UNASKED),
        asked=asked,
        wording=Wording(
            plain_values=get(cluster.METRICS_PROMETHEUS_FILTER),
            without=frozenset(excludes),
        ),
    )
