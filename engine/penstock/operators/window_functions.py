"""Functions over the records of a window. `penstock.datastream.functions` re-exports them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Generic, TypeVar, final

from penstock.operators.functions import IN, KEY, OUT, Function, KeyedStateStore

W = TypeVar("W")
SPAN = TypeVar("SPAN")
"""The window again, as seen by a context."""


class WindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """All records of a key's window at once."""

    @abstractmethod
    def apply(self, key: KEY, window: W, inputs: Iterable[IN]) -> Iterable[OUT]: ...


class AllWindowFunction(Function, Generic[IN, OUT, W]):
    """All records of a window at once."""

    @abstractmethod
    def apply(self, window: W, inputs: Iterable[IN]) -> Iterable[OUT]: ...


class ProcessWindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """All records of a key's window at once, with a context."""

    class Context(ABC, Generic[SPAN]):
        @abstractmethod
        def window(self) -> SPAN: ...

        @abstractmethod
        def current_processing_time(self) -> int: ...

        @abstractmethod
        def current_watermark(self) -> int: ...

        @abstractmethod
        def window_state(self) -> KeyedStateStore:
            """State of this key and this window; `clear` must empty it."""

        @abstractmethod
        def global_state(self) -> KeyedStateStore:
            """State of this key over all windows."""

    @abstractmethod
    def process(
        self, key: KEY, context: "ProcessWindowFunction.Context[Any]", elements: Iterable[IN]
    ) -> Iterable[OUT]: ...

    def clear(self, context: "ProcessWindowFunction.Context[Any]") -> None:
        """The window is gone: empty its `window_state`."""


class ProcessAllWindowFunction(Function, Generic[IN, OUT, W]):
    """All records of a window at once, with a context."""

    class Context(ABC, Generic[SPAN]):
        @abstractmethod
        def window(self) -> SPAN: ...

        @abstractmethod
        def window_state(self) -> KeyedStateStore: ...

        @abstractmethod
        def global_state(self) -> KeyedStateStore: ...

    @abstractmethod
    def process(self, context: "ProcessAllWindowFunction.Context[Any]", elements: Iterable[IN]) -> Iterable[OUT]: ...

    def clear(self, context: "ProcessAllWindowFunction.Context[Any]") -> None:
        """The window is gone: empty its `window_state`."""


@final
class PassThroughWindowFunction(WindowFunction[IN, IN, KEY, W]):
    """What is in the window, as it is."""

    def apply(self, key: KEY, window: W, inputs: Iterable[IN]) -> Iterable[IN]:
        yield from inputs


@final
class PassThroughAllWindowFunction(AllWindowFunction[IN, IN, W]):
    """What is in the window, as it is."""

    def apply(self, window: W, inputs: Iterable[IN]) -> Iterable[IN]:
        yield from inputs
