"""Metrics of user functions, under the name PyFlink gives them."""

from penstock.common.metrics import Counter, Distribution, Meter, Metric, MetricGroup

__all__ = ["Counter", "Distribution", "Meter", "Metric", "MetricGroup"]
