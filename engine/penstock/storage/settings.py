"""How to reach an S3 endpoint: Flink's `s3.*` keys as one frozen value."""

from dataclasses import dataclass, field
from typing import final

from penstock.base.errors import ConfigurationError
from penstock.common.configuration import Configuration
from penstock.common.options import storage as options

PART_BYTES_MIN = 5 << 20
"""S3 refuses smaller parts, except for the last."""


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

    session_token: str | None = field(default=None, repr=False)
    """`s3.session-token`; goes with keys that expire."""

    region: str | None = None
    """`s3.region`"""

    path_style_access: bool | None = None
    """`s3.path-style-access`: bucket in the path, not in the host name. Where absent: yes for a given endpoint."""

    verify_tls: bool = True
    """`s3.ssl.verify`"""

    connect_timeout_s: float = 3.0
    """`s3.connection.timeout`: to open a connection, and to hand each few megabytes of a body to the network."""

    read_timeout_s: float = 30.0
    """`s3.socket.timeout`: time without a byte of the answer."""

    attempts: int = 4
    """`s3.retry.max-num-retries` and the first one: how often a request is sent; the wait between them doubles."""

    connections: int = 32
    """`s3.connection.maximum`: connections per process and location; more threads wait for one."""

    part_bytes: int = 16 << 20
    """`s3.upload.min.part.size`: of files too large for one request."""

    @classmethod
    def from_configuration(cls, configuration: Configuration) -> "S3Settings":
        """What the configuration says. Raises ConfigurationError naming key and value."""
        access_key, secret_key = configuration.get(options.S3_ACCESS_KEY), configuration.get(options.S3_SECRET_KEY)
        if (access_key is None) != (secret_key is None):
            raise ConfigurationError("s3.access-key and s3.secret-key: one is given without the other")
        path_style = configuration.get(options.S3_PATH_STYLE) if configuration.contains(options.S3_PATH_STYLE) else None
        return cls(
            endpoint=_url(configuration.get(options.S3_ENDPOINT)),
            access_key=access_key,
            secret_key=secret_key,
            session_token=configuration.get(options.S3_SESSION_TOKEN),
            region=configuration.get(options.S3_REGION),
            path_style_access=path_style,
            verify_tls=configuration.get(options.S3_VERIFY_TLS),
            connect_timeout_s=configuration.get(options.S3_CONNECT_TIMEOUT).to_millis() / 1000,
            read_timeout_s=configuration.get(options.S3_READ_TIMEOUT).to_millis() / 1000,
            attempts=configuration.get(options.S3_RETRIES) + 1,
            connections=configuration.get(options.S3_CONNECTIONS),
            part_bytes=max(configuration.get(options.S3_PART_SIZE), PART_BYTES_MIN),
        )


def _url(endpoint: str | None) -> str | None:
    """Flink takes an endpoint without a scheme, and means TLS."""
    return endpoint if endpoint is None or "://" in endpoint else f"https://{endpoint}"
