"""Scenarios that mostly wait, played several at a time: each in a thread of its own, each a test with its own outcome.

    bill = Playbill()

    @bill.scenario
    def test_a_lost_pod_is_replaced(scene: Scene) -> None: ...

The module's fixture `played` plays those that were selected, as soon as the first of them is asked for its outcome. No
scenario may share anything with another that one of them changes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, Generic, TypeVar, final

Scene = TypeVar("Scene")
_OUTCOME_S: Final = 420.0
"""Their waits have deadlines of their own; this is for what has none."""


@final
class Played:
    """What becomes of the scenarios, by name."""

    def __init__(self, outcomes: "Mapping[str, Future[None]]") -> None:
        self._outcomes = outcomes

    def outcome(self, name: str) -> None:
        """Returns when that scenario has ended well, or raises what it has raised."""
        self._outcomes[name].result(_OUTCOME_S)


@final
class Playbill(Generic[Scene]):
    """The scenarios of one module, in order."""

    def __init__(self) -> None:
        self._scenarios: dict[str, Callable[[Scene], None]] = {}

    def scenario(self, scenario: Callable[[Scene], None]) -> Callable[[Played], None]:
        """The test that waits for its outcome, under its name."""
        name = scenario.__name__

        def outcome(played: Played) -> None:
            played.outcome(name)

        outcome.__name__, outcome.__doc__ = name, scenario.__doc__
        self._scenarios[name] = scenario
        return outcome

    def chosen(self, names: Iterable[str]) -> list[str]:
        """Those of the scenarios that are among the names."""
        wanted = set(names)
        return [name for name in self._scenarios if name in wanted]

    @contextmanager
    def playing(self, scenes: Mapping[str, Scene], at_once: int) -> Iterator[Played]:
        """Play those that have a scene. At the end of the block those that have not begun never do."""
        with ThreadPoolExecutor(at_once, "scenario") as threads:
            outcomes = {name: threads.submit(self._scenarios[name], scene) for name, scene in scenes.items()}
            try:
                yield Played(outcomes)
            finally:
                for outcome in outcomes.values():
                    outcome.cancel()
