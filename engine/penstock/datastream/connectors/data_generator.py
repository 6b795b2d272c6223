"""Generated streams. PyFlink has no such source in Python; the names are those of Flink's Java API."""

from penstock.connectors.data_generator import DataGeneratorSource
from penstock.connectors.rate_limiter import RateLimiter, RateLimiterStrategy

__all__ = ["DataGeneratorSource", "RateLimiter", "RateLimiterStrategy"]
