"""Scrapes a process as Prometheus does, with Prometheus's own parser."""

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

Samples = list[tuple[dict[str, str], float]]


def scraped(host: str, port: int) -> dict[str, Samples]:
    """Labels and value of every sample, by its name. OSError when nobody answers."""
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
        page = answer.read().decode()
    found: dict[str, Samples] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found
