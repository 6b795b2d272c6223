"""Readings as Prometheus text, named and labelled as Flink's reporter does it. Pure, and slow enough for a thread.

`flink_<scope>_<name>`, everything a gauge but distributions, which are summaries: that is how Flink's dashboards know
them. Of two samples that would be the same the first one counts, for Prometheus refuses a page that has one twice.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, final

from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.samples import Sample

from penstock.common.metrics import QUANTILES
from penstock.monitoring.readings import Distributed, Reading, Scoped
from penstock.monitoring.settings import Wording

_UNFIT: Final = re.compile(r"[^a-zA-Z0-9:_]")
_EXTREMES: Final = ("min", "max")


def text(things: Iterable[Scoped], wording: Wording) -> bytes:
    """The page that is scraped."""
    page = _Page(wording)
    for thing in things:
        page.add(thing)
    return generate_latest(page)


@final
@dataclass(slots=True)
class _Page:
    """A registry, as far as `generate_latest` needs one."""

    wording: Wording
    families: dict[str, Metric] = field(default_factory=dict)
    samples: set[tuple[str, tuple[tuple[str, str], ...]]] = field(default_factory=set)

    def collect(self) -> Iterable[Metric]:
        return self.families.values()

    def add(self, thing: Scoped) -> None:
        own = self._labels(thing.labels)
        for reading in thing.readings:
            # What users call a label gives way to what we do.
            labels = self._labels(reading.variables) | own if reading.variables else own
            name = _name(thing.scope, reading.logical or reading.name)
            if isinstance(reading, Reading):
                if not isinstance(reading.value, str):
                    self._put(self._family(name, reading.name, thing.scope, "gauge"), name, labels, reading.value)
            else:
                self._summary(name, thing.scope, reading, labels)

    def _summary(self, name: str, scope: tuple[str, ...], reading: Distributed, labels: dict[str, str]) -> None:
        family = self._family(name, reading.name, scope, "summary")
        for part, share in QUANTILES.items():
            if part in reading.values:
                self._put(family, name, labels | {"quantile": str(share)}, reading.values[part])
        for part in ("count", "sum"):
            self._put(family, f"{name}_{part}", labels, reading.values[part])
        for part in _EXTREMES:
            if part in reading.values:
                extreme = f"{name}_{part}"
                family = self._family(extreme, f"{reading.name}.{part}", scope, "gauge")
                self._put(family, extreme, labels, reading.values[part])

    def _family(self, name: str, shown: str, scope: tuple[str, ...], kind: str) -> Metric | None:
        family = self.families.get(name)
        if family is None:
            family = self.families[name] = Metric(name, f"{shown} (scope: {'_'.join(scope)})", kind)
        return family if family.type == kind else None

    def _put(self, family: Metric | None, name: str, labels: dict[str, str], value: float) -> None:
        key = (name, tuple(sorted(labels.items())))
        if family is not None and key not in self.samples:
            self.samples.add(key)
            family.samples.append(Sample(name, labels, value))

    def _labels(self, variables: Mapping[str, str]) -> dict[str, str]:
        wording = self.wording
        return {
            _label(name): _UNFIT.sub("_", value) if wording.plain_values else value
            for name, value in variables.items()
            if name not in wording.without
        }


def _name(scope: tuple[str, ...], name: str) -> str:
    return _UNFIT.sub("_", "_".join(("flink", *scope, name)))


def _label(name: str) -> str:
    plain = _UNFIT.sub("_", name).replace(":", "_")
    # Two underscores in front are Prometheus's own; quantile is a summary's.
    if not plain or plain[0].isdigit() or plain.startswith("__") or plain == "quantile":
        plain = "user_" + plain.lstrip("_")
    return plain
