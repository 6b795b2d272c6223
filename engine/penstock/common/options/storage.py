"""Keys of file systems and object stores."""

from typing import Final

from penstock.common.options.kinds import BOOLEAN, COUNT, DURATION, MEMORY, POSITIVE, STRING
from penstock.common.options.registry import option, optional
from penstock.common.time import Duration

TEMPORARY: Final = option(
    "io.tmp.dirs",
    STRING,
    "/tmp",
    "Folders for local files, separated by , or :, of which the first is used.",
    "taskmanager.tmp.dirs",
)
DEFAULT_SCHEME: Final = optional("fs.default-scheme", STRING, "Put before paths that name no scheme.")
S3_ACCESS_KEY: Final = optional(
    "s3.access-key", STRING, "Access key. Not set: the usual chain of environment, profile and role.",
    "s3.access.key", "fs.s3a.access.key", "presto.s3.access-key", secret=True,
)  # fmt: skip
S3_SECRET_KEY: Final = optional(
    "s3.secret-key", STRING, "Secret key.", "s3.secret.key", "fs.s3a.secret.key", "presto.s3.secret-key", secret=True
)
S3_SESSION_TOKEN: Final = optional(
    "s3.session-token",
    STRING,
    "Session token of passing credentials.",
    "s3.session.token",
    "fs.s3a.session.token",
    secret=True,
)
S3_ENDPOINT: Final = optional(
    "s3.endpoint", STRING, "Address of the service, for others than AWS.", "fs.s3a.endpoint", "presto.s3.endpoint"
)
S3_REGION: Final = optional("s3.region", STRING, "Region.", "s3.endpoint.region", "fs.s3a.endpoint.region")
S3_PATH_STYLE: Final = option(
    "s3.path-style-access", BOOLEAN, False, "The bucket in the path, not in the host name; implied by s3.endpoint.",
    "s3.path.style.access", "fs.s3a.path.style.access", "presto.s3.path-style-access",
)  # fmt: skip
S3_VERIFY_TLS: Final = option("s3.ssl.verify", BOOLEAN, True, "Check the service's certificate.")
S3_CONNECT_TIMEOUT: Final = option(
    "s3.connection.timeout",
    DURATION,
    Duration.of_seconds(3),
    "Time to make a connection, and to hand each few megabytes of a body to the network.",
    "fs.s3a.connection.timeout",
)
S3_READ_TIMEOUT: Final = option(
    "s3.socket.timeout", DURATION, Duration.of_seconds(30), "Time to wait for bytes on a connection."
)
S3_RETRIES: Final = option(
    "s3.retry.max-num-retries", COUNT, 3, "Attempts after the first one.", "fs.s3a.attempts.maximum"
)
S3_CONNECTIONS: Final = option(
    "s3.connection.maximum", POSITIVE, 32, "Connections per process.", "fs.s3a.connection.maximum"
)
S3_PART_SIZE: Final = option(
    "s3.upload.min.part.size", MEMORY, 16 << 20, "Size of a part of an upload in parts; at least 5 MiB."
)
S3_CONCURRENT_UPLOADS: Final = option(
    "s3.upload.max.concurrent.uploads",
    POSITIVE,
    4,
    "Parts under way at once.",
    no_effect="parts of a file are sent one after the other",
)
