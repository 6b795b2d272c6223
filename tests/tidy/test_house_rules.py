"""The rules of the house that no other tool checks: layout, sizes, and what must not be written into the repository."""

import ast
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.xdist_group("house rules")  # One process reads all files, once.
ROOT = Path(__file__).parents[2]
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 80
PURE_CORES = {
    "penstock.checkpoint.alignment",
    "penstock.checkpoint.cadence",
    "penstock.checkpoint.pending",
    "penstock.checkpoint.retention",
    "penstock.jobmanager.lifecycle",
    "penstock.jobmanager.placement",
    "penstock.jobmanager.regions",
    "penstock.jobmanager.rescaling",
    "penstock.jobmanager.restart",
    "penstock.jobmanager.standing",
}
# Written apart, so that this file passes its own test.
UNWANTED = {
    "an address of a package registry": r"\b(py" r"pi|pythonhosted|proxy\.golang|npm" r"js)\.org\b|maven\.org\b",
    "a path of one machine": r"/wo" r"rk/(main|wt|build|shared|venv)|/ro" r"ot/|/home/(?!penstock\b)\w",
    "a note to oneself": r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b",
}


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


class Shape(NamedTuple):
    """What the rules ask of a module: all trees together are too much to keep."""

    has_prose: bool
    logic: list[int]
    """Lines of what is neither an import, an assignment nor prose."""
    functions: list[tuple[int, str, int]]
    """Line, name and length of each."""


@cache
def shape(path: Path) -> Shape:
    tree = ast.parse(path.read_text())
    plain = (ast.Import, ast.ImportFrom, ast.Expr, ast.Assign, ast.AnnAssign)
    return Shape(
        has_prose=bool(ast.get_docstring(tree)),
        logic=[node.lineno for node in tree.body if not isinstance(node, plain)],
        functions=[
            (node.lineno, node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ],
    )


TRACKED = tracked()
PYTHON = [path for path in TRACKED if path.suffix == ".py"]


def within(path: Path, *folders: str) -> bool:
    return any(path.is_relative_to(ROOT / folder) for folder in folders)


def pyproject() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_operator_and_tests_are_no_packages() -> None:
    stray = [p for p in TRACKED if p.name == "__init__.py" and (p.parent == ROOT / "operator" or within(p, "tests"))]
    assert stray == []


def test_the_distribution_has_both_packages_and_nothing_called_operator() -> None:
    hatch = pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]  # type: ignore[index]
    assert hatch == ["engine/penstock", "operator/penstock_operator"]
    assert all((ROOT / package / "py.typed").exists() for package in hatch)


def test_every_module_says_what_it_is_for() -> None:
    silent = [p for p in PYTHON if not shape(p).has_prose]
    assert silent == []


def test_a_package_opens_with_prose_or_reexports_never_with_logic() -> None:
    packages = [path for path in PYTHON if path.name == "__init__.py"]
    assert [f"{path.relative_to(ROOT)}:{line}" for path in packages for line in shape(path).logic] == []


def test_files_stay_small() -> None:
    large = {str(p.relative_to(ROOT)): n for p in PYTHON if (n := len(p.read_text().splitlines())) > FILE_LINES_MAX}
    assert large == {}, "look for the second idea in each"


def test_functions_stay_small() -> None:
    large = {
        f"{path.relative_to(ROOT)}:{line} {name}": length
        for path in PYTHON
        for line, name, length in shape(path).functions
        if length > FUNCTION_LINES_MAX
    }
    assert large == {}, "look for the second idea in each"


@pytest.mark.parametrize("what", UNWANTED)
def test_the_repository_holds_nothing_that_belongs_elsewhere(what: str) -> None:
    pattern = re.compile(UNWANTED[what])
    found = []
    for path in TRACKED:
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}:{n}" for n, line in enumerate(lines, 1) if pattern.search(line)]
    assert found == []


def test_no_file_is_called_after_nothing() -> None:
    nothing = {p for p in PYTHON if p.stem in ("utils", "util", "helpers", "misc")}
    mirrored = {ROOT / "engine/penstock/common/utils.py"}  # PyFlink's programs import it under this name.
    assert nothing <= mirrored


def test_every_pure_core_is_under_contract() -> None:
    contracts = pyproject()["tool"]["importlinter"]["contracts"]  # type: ignore[index]
    (listed,) = [set(contract["source_modules"]) for contract in contracts if contract.get("id") == "pure-cores"]
    existing = {
        module
        for module in PURE_CORES
        if (ROOT / "engine" / module.replace(".", "/")).is_dir()
        or (ROOT / "engine" / f"{module.replace('.', '/')}.py").is_file()
    }
    assert existing <= listed


def test_what_the_operator_thinks_is_under_contract() -> None:
    contracts = pyproject()["tool"]["importlinter"]["contracts"]  # type: ignore[index]
    (listed,) = [set(c["source_modules"]) for c in contracts if c.get("id") == "operator-pure-cores"]
    package = ROOT / "operator" / "penstock_operator"
    thinking = {name for name in ("model", "decide", "render") if (package / name / "__init__.py").is_file()}
    assert listed == {f"penstock_operator.{name}" for name in thinking}


def test_continuous_integration_runs_the_readmes_test_command() -> None:
    assert "\nmake test " in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "exec make test"
