"""How to reach an S3 endpoint: Flink's `s3.*` keys as one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, final

from penstock.base.errors import ConfigurationError

_BOOLEANS: Final = {"true": True, "false": False}
_ALIASES: Final = {"s3.path-style-access": "s3.path.style.access"}


@final
@dataclass(frozen=True, slots=True)
class S3Settings:
    """What is left out is taken from where boto3 looks: environment, profile, instance role."""

    endpoint: str | None = None
    """`s3.endpoint`: URL of any service that speaks S3; AWS where absent."""

    access_key: str | None = field(default=None, repr=False)
    """`s3.access-key`; together with the secret key or not at all."""

    secret_key: str | None = field(default=None, repr=False)
    """`s3.secret-key`"""

    region: str | None = None
    """`s3.region`"""

    path_style_access: bool | None = None
    """`s3.path.style.access`: bucket in the path, not in the host name. Where absent: yes for a given endpoint."""

    connect_timeout_s: float = 3.0
    """Time to open a connection, and to hand each few megabytes of a body to the network."""

    read_timeout_s: float = 30.0
    """Time without a byte of the answer."""

    attempts: int = 4
    """How often a request is sent at most, the first time included; in between the wait doubles."""

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> "S3Settings":
        """The settings that a flat configuration holds. Raises ConfigurationError naming key and value."""
        known = {_ALIASES.get(key, key): value for key, value in options.items() if key.startswith("s3.")}
        access_key, secret_key = known.get("s3.access-key"), known.get("s3.secret-key")
        if (access_key is None) != (secret_key is None):
            raise ConfigurationError("s3.access-key and s3.secret-key: one is given without the other")
        endpoint = known.get("s3.endpoint")
        if endpoint is not None and "://" not in endpoint:
            endpoint = f"https://{endpoint}"
        return cls(endpoint, access_key, secret_key, known.get("s3.region"), _path_style(known))


def _path_style(options: Mapping[str, str]) -> bool | None:
    value = options.get("s3.path.style.access")
    if value is None:
        return None
    try:
        return _BOOLEANS[str(value).strip().lower()]
    except KeyError:
        raise ConfigurationError(f"s3.path.style.access: expected true or false, found {value!r}") from None
