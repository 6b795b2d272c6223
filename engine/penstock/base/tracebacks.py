"""Tracebacks as the author of a job wants to see them: from their own first line to their own last one."""

import sysconfig
import traceback
from pathlib import Path
from types import CodeType
from typing import Final

from penstock.base.errors import UserFunctionError

_OURS: Final = str(Path(__file__).parents[1])
_LIBRARIES: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def users_traceback(error: BaseException, script: Path | None = None) -> str:
    """The traceback, causes included, without the frames that lead to the script and those of ours that it ends in.

    Without a script, it begins with the first frame that is the user's; empty if none is.
    """
    if script is None and not _touches_users_code(error):
        return ""
    if isinstance(error, UserFunctionError):
        error = error.__cause__ or error  # Its own words are the sentence that is said with it.
    whole = traceback.TracebackException.from_exception(error)
    todo: list[traceback.TracebackException | None] = [whole]
    while todo:
        one = todo.pop()
        if one is not None:
            one.stack[:] = _users_part(one.stack, script)
            todo += [one.__cause__, one.__context__]
    return "".join(whole.format())


def said(error: BaseException) -> str:
    """What an exception is and says, be it of a class that cannot say it."""
    try:
        text = str(error)
    except Exception as failure:
        text = f"<its text fails: {type(failure).__name__}>"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def users_line(error: BaseException, script: Path | None = None) -> str:
    """`FILE, line N`: the last line of the user's own on the way to the error; empty if there is none."""
    part = _users_part(traceback.extract_tb(error.__traceback__), script)
    own = [frame for frame in part if _is_users(frame) and Path(frame.filename).is_file()]
    return f"{own[-1].filename}, line {own[-1].lineno}" if own else ""


def is_users(code: CodeType) -> bool:
    """Whether this is code of the user's own: neither ours nor a library's."""
    return _is_users_file(code.co_filename)


def _touches_users_code(error: BaseException) -> bool:
    chain = [error]
    while (following := chain[-1].__cause__ or chain[-1].__context__) is not None and following not in chain:
        chain.append(following)
    return any(_is_users(frame) for one in chain for frame in traceback.extract_tb(one.__traceback__))


def _users_part(stack: traceback.StackSummary, script: Path | None) -> list[traceback.FrameSummary]:
    frames = list(stack)
    if script is None:
        known = (i for of in (_is_users, _is_not_ours) for i, frame in enumerate(frames) if of(frame))
        first = next(known, None)
    else:
        first = next((i for i, frame in enumerate(frames) if frame.filename == str(script)), None)
    if first is not None:
        frames = frames[first:]
    last = max((i for i, frame in enumerate(frames) if _is_users(frame)), default=-1)
    end = next((i for i in range(last + 1, len(frames)) if frames[i].filename.startswith(_OURS)), len(frames))
    return [] if first is None and last < 0 else frames[:end]


def _is_not_ours(frame: traceback.FrameSummary) -> bool:
    return not frame.filename.startswith(_OURS)


def _is_users(frame: traceback.FrameSummary) -> bool:
    return _is_users_file(frame.filename)


def _is_users_file(name: str) -> bool:
    # Compiled libraries name their sources by paths that do not exist here.
    return not name.startswith((_OURS, "<frozen", "<string>", *_LIBRARIES)) and not name.endswith(".pyx")
