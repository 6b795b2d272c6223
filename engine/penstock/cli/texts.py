"""How numbers and times are written for people. Pure."""

import time
from typing import Final

_KIB: Final = 1024


def size(number: float) -> str:
    """Bytes: `17 B`, `1.5 MiB`."""
    for factor, unit in ((_KIB**4, "TiB"), (_KIB**3, "GiB"), (_KIB**2, "MiB"), (_KIB, "KiB")):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number:.0f} B"


def flinks_time(at_ms: int) -> str:
    """In local time, as the `flink` command writes it."""
    return time.strftime("%d.%m.%Y %H:%M:%S", time.localtime(at_ms / 1000))


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns of equal width, numbers to the right; the first row is the head."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numeric = [all(_is_number(cell) for cell in column[1:]) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in rows
    ]


def _is_number(cell: str) -> bool:
    return not cell or cell[:1].isdigit() or cell[:1] == "-"
