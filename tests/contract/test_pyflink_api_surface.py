"""Every class, method and parameter that PyFlink programs use exists here under the same path and name.

`pyflink_api_surface.txt` lists PyFlink's: `## module`, then `*Class(bases): method(parameter, optional=); CONSTANT;
class Nested{...}`. What is left out on purpose stands in the tables below, with the reason.
"""

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

SURFACE: Final = Path(__file__).with_name("pyflink_api_surface.txt")

WINDOWS: Final = "windows and asynchronous I/O come later, and are absent until then"
JAVA: Final = "wraps a Java object"
WIRE: Final = "how PyFlink writes values to the JVM"
ELSEWHERE: Final = {
    "FileSink.BaseBuilder": "BaseBuilder",
    "FileSink.RowFormatBuilder": "RowFormatBuilder",
    "FileSink.BulkFormatBuilder": "BulkFormatBuilder",
}
"""Builders that nobody names, because a method returns them: their names in penstock.connectors.file_sink."""
LEFT_OUT: Final = {
    "AsyncDataStream": WINDOWS,
    "WindowedStream": WINDOWS,
    "AllWindowedStream": WINDOWS,
    "KeyedStream.window": WINDOWS,
    "KeyedStream.count_window": WINDOWS,
    "DataStream.window_all": WINDOWS,
    "WindowFunction": WINDOWS,
    "AllWindowFunction": WINDOWS,
    "ProcessWindowFunction": WINDOWS,
    "ProcessAllWindowFunction": WINDOWS,
    "AsyncFunction": WINDOWS,
    "AsyncFunctionDescriptor": WINDOWS,
    "AsyncRetryPredicate": WINDOWS,
    "AsyncRetryStrategy": WINDOWS,
    "Window": WINDOWS,
    "TimeWindow": WINDOWS,
    "CountWindow": WINDOWS,
    "GlobalWindow": WINDOWS,
    "WindowAssigner": WINDOWS,
    "MergingWindowAssigner": WINDOWS,
    "TriggerResult": WINDOWS,
    "Trigger": WINDOWS,
    "FileSink.get_transformer": "a step before the sink that PyFlink needs for its bucket assigners",
    "DateTypeInfo.EPOCH_ORDINAL": WIRE,
    "DateTypeInfo.to_internal_type": WIRE,
    "DateTypeInfo.from_internal_type": WIRE,
    "TimeTypeInfo.EPOCH_ORDINAL": WIRE,
    "TimeTypeInfo.to_internal_type": WIRE,
    "TimeTypeInfo.from_internal_type": WIRE,
    "TimestampTypeInfo.to_internal_type": WIRE,
    "TimestampTypeInfo.from_internal_type": WIRE,
    "RowDataBulkWriterFactory": JAVA,
    "CachedDataStream": "the result of cache(), which only a Flink session cluster has",
    "StreamingFileSink": "an older name of FileSink, whose methods are pinned",
    "JavaFunctionWrapper": JAVA,
    "JavaObjectWrapper": JAVA,
    "AssignerWithPeriodicWatermarksWrapper": JAVA,
    "InputFormat": JAVA,
}
JAVA_METHODS: Final = re.compile(r"get_java_|to_j_|.*_java_")

METHOD: Final = re.compile(r"(\w+)\(([^()]*)\)$")


@dataclass(frozen=True)
class Member:
    module: str
    owner: str
    name: str
    parameters: tuple[str, ...] | None
    """None: a constant."""

    def __str__(self) -> str:
        return f"{self.module}:{self.owner}.{self.name}"


def split(body: str) -> Iterator[str]:
    """Parts between semicolons outside of braces."""
    depth = start = 0
    for index, char in enumerate(body):
        depth += (char == "{") - (char == "}")
        if char == ";" and depth == 0:
            yield body[start:index].strip()
            start = index + 1
    yield body[start:].strip()


def members(module: str, owner: str, body: str) -> Iterator[Member]:
    for part in filter(None, split(body)):
        if part.startswith("class "):
            name, _, nested = part[len("class ") :].partition("{")
            yield from members(module, f"{owner}.{name}", nested.removesuffix("}"))
        elif match := METHOD.fullmatch(part):
            yield Member(module, owner, match[1], tuple(filter(None, match[2].split(","))))
        else:
            yield Member(module, owner, part, None)


def surface() -> Iterator[Member]:
    module = ""
    for line in SURFACE.read_text().splitlines():
        if line.startswith("## "):
            path = line.split()[1]
            module = (
                path.removesuffix(".py").removesuffix("/__init__").replace("/", ".").replace("pyflink", "penstock", 1)
            )
        elif match := re.match(r"\s+\*(\w+)\([^)]*\)[^:]*:(.*)", line):
            yield from members(module, match[1], match[2])


def exports() -> Iterator[tuple[str, str]]:
    for line in SURFACE.read_text().splitlines():
        if match := re.match(r"## (\S+)\.py all=\[(.*)\]", line):
            module = match[1].removesuffix("/__init__").replace("/", ".").replace("pyflink", "penstock", 1)
            for name in match[2].replace("'", "").split(", "):
                if name not in LEFT_OUT:
                    yield module, name


def expected() -> list[Member]:
    return [
        member
        for member in surface()
        if member.owner.split(".")[0] not in LEFT_OUT
        and f"{member.owner}.{member.name}" not in LEFT_OUT
        and not JAVA_METHODS.match(member.name)
        and not wraps_java(member)
    ]


def wraps_java(member: Member) -> bool:
    """Constructors that take a Java object first: such objects are made by other calls."""
    first = (member.parameters or ("",))[0]
    return first.startswith("j_") and not first.endswith("=")


def found(member: Member) -> Any:
    elsewhere = ELSEWHERE.get(member.owner)
    owner: Any = importlib.import_module("penstock.connectors.file_sink" if elsewhere else member.module)
    for name in (elsewhere or member.owner).split("."):
        owner = getattr(owner, name)
    return getattr(owner, member.name)


def test_the_surface_is_read_whole() -> None:
    assert len(expected()) > 500


@pytest.mark.parametrize(("module", "name"), sorted(set(exports())))
def test_what_pyflink_exports_is_exported(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("member", expected(), ids=str)
def test_what_pyflink_has_is_there_with_its_parameters(member: Member) -> None:
    here = found(member)
    if member.parameters is None:
        return
    ours = inspect.signature(here).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in ours.values())
    for parameter in member.parameters:
        name = parameter.strip("*=")
        if name.startswith("j_"):
            continue
        assert name in ours or takes_any, f"{member} lacks the parameter {name}: {inspect.signature(here)}"
        if parameter.endswith("=") and name in ours and member.name != "__init__":
            assert ours[name].default is not inspect.Parameter.empty, f"{member}: {name} is optional in PyFlink"


@pytest.mark.parametrize(
    ("module", "owner", "method"),
    [
        ("penstock.datastream", "KeyedStream", "window"),
        ("penstock.datastream", "KeyedStream", "count_window"),
        ("penstock.datastream", "DataStream", "window_all"),
    ],
)
def test_what_comes_later_is_absent_rather_than_a_stub(module: str, owner: str, method: str) -> None:
    assert not hasattr(getattr(importlib.import_module(module), owner), method)
