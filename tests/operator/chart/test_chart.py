"""What the chart and the rest of the repository have to agree on; what needs Helm is tested on the cluster."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock_operator.handlers.running import OPERATOR_VERSION
from penstock_operator.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "penstock-operator"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_the_chart_has_the_definitions_as_they_are() -> None:
    wanted = {path.name: path.read_text() for path in (ROOT / "crds").glob("*.yaml")}
    assert wanted
    assert {path.name: path.read_text() for path in (CHART / "files" / "crds").glob("*.yaml")} == wanted


def test_all_versions_are_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = read(CHART / "Chart.yaml")
    assert {chart["version"], chart["appVersion"], OPERATOR_VERSION} == {project}


def test_the_schema_knows_every_value_and_describes_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def unknown(values: Any, known: Any, at: str) -> list[str]:
        if not isinstance(values, dict) or "properties" not in known:
            return []
        found = [f"{at}.{key}" for key in values if key not in known["properties"]]
        inner = ((values[key], known["properties"][key], f"{at}.{key}") for key in values if key in known["properties"])
        return found + [name for one in inner for name in unknown(*one)]

    defaults = read(CHART / "values.yaml")
    assert unknown(defaults, schema, "") == []
    assert set(schema["properties"]) - {"global"} == set(defaults)


@pytest.mark.parametrize("template", sorted((CHART / "templates").glob("*.yaml")), ids=lambda path: path.name)
def test_templates_use_only_values_that_exist(template: Path) -> None:
    defaults = read(CHART / "values.yaml")
    for dotted in re.findall(r"\.Values\.([A-Za-z.]+)", template.read_text()):
        at: Any = defaults
        for part in dotted.strip(".").split("."):
            assert part in at, f"{dotted} of {template.name}"
            at = at[part]


def test_every_query_of_the_dashboards_names_metrics_that_exist() -> None:
    metrics = Metrics(now=lambda: 1_000.0)
    metrics.job_seen("ns", "j", "Created", checkpoint_at=900.0)
    metrics.job_seen("ns", "j", "Stable", checkpoint_at=950.0)
    metrics.passed("steady", 0.1)
    metrics.upgraded("savepoint", 1.0)
    metrics.restored(1.0)
    metrics.failed("ns", "Reason")
    metrics.request("kubernetes", "GET", "pods", "200")
    told = set(re.findall(r"^(\w+)(?:\{| )", metrics.text().decode(), re.MULTILINE))
    dashboards = sorted((CHART / "files" / "dashboards").glob("*.json"))
    assert dashboards
    for file in dashboards:
        dashboard = json.loads(file.read_text())
        queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        queries += [str(variable["query"]) for variable in dashboard["templating"]["list"]]
        named = {name for query in queries for name in re.findall(r"penstock_\w+", query)}
        assert named
        assert named <= told
