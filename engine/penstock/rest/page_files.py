"""The page that people look at: its files, read once, and what browsers are told about them.

The server asks here before it looks for a route. The files stand in `page/`, as they are served: nothing is built,
nothing comes from elsewhere, and the page reads only what REST gives anyone.
"""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Final, final

from aiohttp import web

_MEDIA_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_START: Final = "index.html"
_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Kept, but asked about each time: after an upgrade nobody sees half of the old page.
    "Cache-Control": "no-cache",
}


@final
@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page."""

    media_type: str
    body: bytes
    tag: str
    """Changes when the file does."""


@functools.cache
def page_files() -> Mapping[str, PageFile]:
    """All files by the path that they are served at; the page itself is at `/`."""
    found: dict[str, PageFile] = {}
    for entry in files("penstock.rest").joinpath("page").iterdir():
        media_type = _MEDIA_TYPES.get(entry.name[entry.name.rfind(".") :])
        if media_type is not None:
            body = entry.read_bytes()
            tag = hashlib.blake2b(body, digest_size=12).hexdigest()
            path = "/" if entry.name == _START else f"/page/{entry.name}"
            found[path] = PageFile(media_type, body, tag)
    return MappingProxyType(found)


def page_response(request: web.BaseRequest) -> web.Response | None:
    """The answer to a request for a file of the page; None if it is for something else."""
    if request.method not in ("GET", "HEAD"):
        return None
    file = page_files().get(request.rel_url.raw_path)
    if file is None:
        return None
    tagged = _HEADERS | {"ETag": f'"{file.tag}"'}
    if any(tag.value in (file.tag, "*") for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=tagged)
    return web.Response(body=file.body, content_type=file.media_type, charset="utf-8", headers=tagged)
