"""Running a user's script, for its job graph or as a program."""

import sys
import textwrap
from pathlib import Path

import pytest

from penstock.base.errors import JobDefinitionError
from penstock.common import Configuration
from penstock.datastream.script import ScriptFailed, job_of, run

JOB = """
    import sys
    from helper import double
    from penstock.datastream import StreamExecutionEnvironment

    class Point:
        pass

    if __name__ == "__main__":
        env = StreamExecutionEnvironment.get_execution_environment()
        try:
            env.from_collection([1]).map(double)
            env.execute(sys.argv[1])
        except Exception:
            print("an exception of the program's own")
        print("after the job")
"""


def written(folder: Path, text: str) -> Path:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(text))
    (folder / "helper.py").write_text("def double(value):\n    return 2 * value\n")
    return script


@pytest.fixture(autouse=True)
def _forget_helper() -> None:
    sys.modules.pop("helper", None)


def test_the_script_ends_where_it_executes_and_gives_its_graph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, configuration = job_of(written(tmp_path, JOB), ["my job"], Configuration())
    assert graph.name == "my job"
    assert str(tmp_path) in graph.python_path
    assert b"Point" in graph.prelude
    assert configuration.get_string("parallelism.default") == "1"
    assert capsys.readouterr().out == ""


TWO = """
    from penstock.datastream import StreamExecutionEnvironment

    def described(env):
        env.from_collection([1]).print()
        {first}

    env = StreamExecutionEnvironment.get_execution_environment()
    if True:
        described(env)
    {then}
"""


@pytest.mark.parametrize("first", ["env.execute()", "client = env.execute_async('one')"])
@pytest.mark.parametrize(
    "then",
    [
        "env.execute('two')",
        "client = env.execute_async()",
        "with open(__file__):\n        print(env.execute())",
        "stream = env.from_collection([2]).print()\n    env.execute()",
        "other = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)\n    other.execute()",
        "list(env.from_collection([2]).map(str).execute_and_collect())",
        "if len(__name__) > 100:\n        env.execute()\n    else:\n        described(env)",
        "try:\n        print(1)\n    finally:\n        env.execute()",
    ],
)
def test_a_script_that_executes_a_second_job_is_refused(tmp_path: Path, first: str, then: str) -> None:
    script = written(tmp_path, TWO.format(first=first, then=then))
    with pytest.raises(JobDefinitionError, match=r"executes a second job in line \d+, and on a cluster a JobManager"):
        job_of(script, [], Configuration())


HELPERS = """
    import sys
    from penstock.datastream import StreamExecutionEnvironment
    ONLY_ONE = False

    def environment():
        made = StreamExecutionEnvironment.get_execution_environment()
        made.set_parallelism(1)
        return made

    def described(env, name):
        env.from_collection([1]).print()
        return env.execute(name)

    class Jobs:
        def __init__(self, env):
            self.env = env

        def run(self, name):
            described(env=self.env, name=name)

    def main(argv):
        env = environment()
        jobs = Jobs(env)
        {first}
        {then}

    if __name__ == "__main__":
        sys.exit(main(sys.argv))
"""


@pytest.mark.parametrize("first", ["described(env, 'one')", "jobs.run('one')"])
@pytest.mark.parametrize(
    "then",
    [
        "described(env, 'two')",
        "jobs.run('two')",
        "described(environment(), name='two')",
        "if not ONLY_ONE:\n            described(env, 'two')",
        "for _ in range(2):\n            pass\n        described(env, 'two')",
        "return described(env, 'two')",
    ],
)
def test_a_second_job_is_found_in_functions_of_the_script(tmp_path: Path, first: str, then: str) -> None:
    with pytest.raises(JobDefinitionError, match="executes a second job in line 13, and on a cluster a JobManager"):
        job_of(written(tmp_path, HELPERS.format(first=first, then=then)), [], Configuration())


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("described(env, 'one')", "if len(argv) > 1:\n            described(env, 'two')"),
        ("described(env, 'one')", "for name in argv[5:]:\n            described(env, 'two')"),
        ("described(env, 'one')", "print('x') if argv else described(env, 'two')"),
        ("for name in ['one', 'two']:", "    described(env, name)"),
        ("described(env, 'one')", "if argv:\n            return\n        described(env, 'two')"),
    ],
)
def test_a_second_job_that_may_come_is_warned_of_in_its_line(tmp_path: Path, first: str, then: str) -> None:
    script = written(tmp_path, HELPERS.format(first=first, then=then))
    with pytest.warns(UserWarning, match="a second job that is executed here will not run") as warned:
        assert job_of(script, [], Configuration())[0].name == "one"
    assert [(warning.filename, warning.lineno) for warning in warned] == [(str(script), 13)]


@pytest.mark.parametrize(
    "then",
    [
        "print('the end')",
        "if ONLY_ONE:\n            described(env, 'two')",
        "def later():\n            described(env, 'two')",
        "sys.exit(0)\n        described(env, 'two')",
        "with open(__file__):\n            return\n        described(env, 'two')",
        "stream = env.from_collection([lambda: env.execute()])",
    ],
)
def test_what_never_comes_in_a_function_is_no_second_job(tmp_path: Path, then: str) -> None:
    script = written(tmp_path, HELPERS.format(first="described(env, 'one')", then=then))
    assert job_of(script, [], Configuration())[0].name == "one"


def test_the_statement_that_executes_is_no_second_job_of_its_own(tmp_path: Path) -> None:
    script = written(tmp_path, TWO.format(first="name = 'one'; env.execute(name); print(name)", then=""))
    assert job_of(script, [], Configuration())[0].name == "one"


def test_a_function_that_returns_its_job_has_no_other_behind_it(tmp_path: Path) -> None:
    first = "if len(argv) == 1:\n            return described(env, 'one')"
    script = written(tmp_path, HELPERS.format(first=first, then="described(env, 'two')"))
    assert job_of(script, [], Configuration())[0].name == "one"


@pytest.mark.parametrize(
    "then",
    [
        "print('the end')",
        "import sqlite3; sqlite3.connect(':memory:').cursor().execute('SELECT 1')",
        "def later():\n        env.execute()",
        "raise SystemExit; env.execute()",
    ],
)
def test_what_never_comes_is_no_second_job(tmp_path: Path, then: str) -> None:
    graph, _ = job_of(written(tmp_path, TWO.format(first="env.execute('one')", then=then)), [], Configuration())
    assert graph.name == "one"


def test_of_two_branches_one_executes(tmp_path: Path) -> None:
    branches = "if len(__name__) > 100:\n        env.execute()\n    else:\n        described(env)"
    script = written(
        tmp_path, TWO.format(first="env.execute('one')", then="").replace("if True:", "for _ in range(0):")
    )
    script.write_text(script.read_text() + textwrap.dedent(f"    {branches}"))
    assert job_of(script, [], Configuration())[0].name == "one"


def test_the_same_script_gives_the_same_fingerprint(tmp_path: Path) -> None:
    script = written(tmp_path, JOB)
    first, _ = job_of(script, ["one"], Configuration())
    second, _ = job_of(script, ["two"], Configuration.from_dict({"parallelism.default": 9}))
    assert first.fingerprint == second.fingerprint
    assert second.vertices[1].parallelism == 9


def test_a_script_that_raises_reports_its_own_lines_only(tmp_path: Path) -> None:
    script = written(tmp_path, "def start():\n    return 1 / 0\n\nstart()\n")
    with pytest.raises(ScriptFailed, match="script.py failed: ZeroDivisionError: division by zero") as failure:
        job_of(script, [], Configuration())
    lines = [line for line in failure.value.report.splitlines() if line.startswith("  File")]
    assert [line.split(", ")[1] for line in lines] == ["line 4", "line 2"]


def test_a_script_without_a_job_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobDefinitionError, match="never called execute"):
        job_of(written(tmp_path, "print('hello')"), [], Configuration())


def test_a_missing_script_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobDefinitionError, match=r"there is no script .*absent.py"):
        run(tmp_path / "absent.py", [])


def test_arguments_and_path_are_the_callers_again_afterwards(tmp_path: Path) -> None:
    before = sys.argv[:], sys.path[:]
    run(written(tmp_path, "import sys; assert sys.argv[1:] == ['a']; sys.exit(0)"), ["a"])
    assert (sys.argv, sys.path) == before


def test_a_script_may_choose_its_exit_code(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="3"):
        run(written(tmp_path, "raise SystemExit(3)"), [])
