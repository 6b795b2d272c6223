"""How a script's own classes reach the workers as one and the same class."""

import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from types import ModuleType

from penstock.graph.pickling import UserCode

SCRIPT = """
    import sys, cloudpickle
    from dataclasses import dataclass
    from penstock.graph.pickling import UserCode

    @dataclass
    class Point:
        x: int

    @dataclass(slots=True)
    class Small:
        y: int

    class Shifted(Point):
        def there(self):
            return Point(self.x + 1)

    code = UserCode(sys.modules["__main__"])
    first = code.dump(lambda: Shifted(1), "operator 'first'")
    second = code.dump(lambda value: isinstance(value, Point) and value.there() == Point(2), "operator 'second'")
    with open(sys.argv[1], "wb") as file:
        file.write(cloudpickle.dumps((code.prelude, first, second)))
"""

WORKER = """
    import pickle, sys
    with open(sys.argv[1], "rb") as file:
        prelude, first, second = pickle.load(file)
    main = sys.modules["__main__"]
    vars(main).update(pickle.loads(prelude))
    value = pickle.loads(first)()
    assert type(value) is main.Shifted
    assert pickle.loads(second)(value)
    assert type(pickle.loads(pickle.dumps(value))) is main.Shifted
    assert not hasattr(main.Small(1), "__dict__") and pickle.loads(pickle.dumps(main.Small(1))) == main.Small(1)
    print("same")
"""


def test_operators_and_values_share_the_scripts_classes_in_a_worker(tmp_path: Path) -> None:
    graph = tmp_path / "graph"
    for name, text in (("script.py", SCRIPT), ("worker.py", WORKER)):
        (tmp_path / name).write_text(textwrap.dedent(text))
        ran = subprocess.run(
            [sys.executable, tmp_path / name, graph],
            env={"PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "same\n"


def test_a_class_that_cannot_be_pickled_does_not_keep_the_others_at_home() -> None:
    main = ModuleType("script")
    good = type("Good", (), {"__module__": "script", "__qualname__": "Good"})
    bad = type("Bad", (), {"__module__": "script", "__qualname__": "Bad", "guard": threading.Lock()})
    vars(main).update(Good=good, Bad=bad, Alias=good)
    assert list(pickle.loads(UserCode(main).prelude)) == ["Good"]
