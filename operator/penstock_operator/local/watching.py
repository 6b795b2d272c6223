"""Watches manifest files, and says when one was saved with other content."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

_LOOK_S: Final = 0.2


async def saved(files: Sequence[Path]) -> AsyncIterator[Path]:
    """Each file that has other content than at the last look, once it was the same for two looks.

    An editor may write it in pieces, or put another one in its place.
    """
    known = {file: _content(file) for file in files}
    seen = dict(known)
    while True:
        await asyncio.sleep(_LOOK_S)
        for file in files:
            content = _content(file)
            if content == seen[file] and content not in (known[file], None):
                known[file] = content
                yield file
            seen[file] = content


def _content(file: Path) -> str | None:
    """None while it is not there."""
    try:
        return sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None
