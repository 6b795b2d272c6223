"""One object read with one signed request: a quarter of the work that boto3's client makes of it.

The client works out at each call anew what differs from none to the next, for as long as everything else takes.
`clients.s3` asks here first where that is known beforehand, and the client wherever no plain answer comes: it knows
what is to be repeated, and what errors mean. Blocks, and is called in threads.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import quote

if TYPE_CHECKING:
    from botocore.credentials import Credentials

CONNECTIONS: Final = 32
_NO_SUCH_KEY: Final = b"<Code>NoSuchKey</Code>"
_FOUND: Final = 200
_NOT_FOUND: Final = 404


@final
@dataclass(frozen=True, slots=True)
class Plain:
    """An answer that leaves nothing open."""

    data: bytes | None
    """None: there is no such object."""


@final
class Reader:
    """Of one bucket, at an endpoint that takes its name in the path."""

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        *,
        credentials: "Credentials",
        region: str,
        verify_tls: bool,
        timeouts_s: tuple[float, float],
    ) -> None:
        """`timeouts_s`: to connect, and to read."""
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies

        self._base = f"{endpoint.rstrip('/')}/{bucket}"
        self._credentials = credentials
        self._region = region
        authorities = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or True
        settings: dict[str, Any] = {"verify": authorities if verify_tls else False, "timeout": timeouts_s}
        proxies = get_environ_proxies(self._base)
        self._http = URLLib3Session(proxies=proxies, max_pool_connections=CONNECTIONS, **settings)

    def read(self, key: str) -> Plain | None:
        """None: the client is to be asked. Raises botocore's errors where nobody answers in time."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import ConnectionError as NoConnection
        from botocore.exceptions import ConnectTimeoutError, HTTPClientError, ReadTimeoutError

        request = AWSRequest("GET", f"{self._base}/{quote(key, safe='/~')}")
        S3SigV4Auth(self._credentials.get_frozen_credentials(), "s3", self._region).add_auth(request)
        try:
            answer = self._http.send(request.prepare())
        except (ConnectTimeoutError, ReadTimeoutError):
            raise
        except (NoConnection, HTTPClientError):
            return None
        data = answer.content
        if answer.status_code == _FOUND and str(len(data)) == answer.headers.get("Content-Length"):
            return Plain(data)
        return Plain(None) if answer.status_code == _NOT_FOUND and _NO_SUCH_KEY in data else None
