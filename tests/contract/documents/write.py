"""Writes docs/flinkjob.md from the CustomResourceDefinitions, with what each change takes from the operator's model.

PYTHONPATH=operator python tests/contract/documents/write.py
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from penstock_operator.model.changes import CLASSES, Change

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "flinkjob.md"
KINDS = ("flinkjobs", "flinkstatesnapshots")
_ON_A_CHANGE = {
    Change.NONE: "nothing",
    Change.IGNORED: "nothing",
    Change.IN_PLACE: "in place",
    Change.SCALE: "rescaled",
    Change.UPGRADE: "upgrade",
}
HEAD = """# FlinkJob and FlinkStateSnapshot

Every field of `spec` and `status`, as `kubectl explain fj.spec --recursive` has them too; written by
`tests/contract/documents/write.py` from `crds/`. *On a change* says what an edit of the field does to a job that runs:
nothing, something in place, rescaling, or an upgrade as `job.upgradeMode` says.
"""


def document() -> str:
    return "\n".join([HEAD, *(line for kind in KINDS for line in _kind(kind))])


def _kind(name: str) -> Iterator[str]:
    definition = yaml.safe_load((ROOT / "crds" / f"{name}.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    names = definition["spec"]["names"]
    yield f"## {names['kind']}"
    yield ""
    group = f"{definition['spec']['group']}/{version['name']}"
    yield f"`{group}`, short name `{names['shortNames'][0]}`. {schema['description']}"
    yield ""
    for part in ("spec", "status"):
        tree = schema["properties"][part]
        yield f"### {part}"
        yield ""
        yield tree["description"]
        yield ""
        change = name == "flinkjobs" and part == "spec"
        yield "| field | type | default | |" + (" on a change |" if change else "")
        yield "|---|---|---|---|" + ("---|" if change else "")
        for path, field, required in _fields(tree, ""):
            cells = [f"`{path}`", _type(field), _default(field, required=required), _text(field)]
            if change:
                cells.append(_ON_A_CHANGE[CLASSES[path]] if path in CLASSES else "")
            yield f"| {' | '.join(cells)} |"
        yield ""
        rules = [rule["message"] for rule in _rules(tree)]
        if rules:
            yield "Besides:"
            yield ""
            yield from (f"* {' '.join(rule.split())}" for rule in rules)
            yield ""


def _fields(tree: dict[str, Any], above: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    for name, field in tree.get("properties", {}).items():
        path = f"{above}{name}"
        yield path, field, name in tree.get("required", ())
        yield from _fields(field, f"{path}.")
        if field.get("type") == "array":
            yield from _fields(field["items"], f"{path}[].")


def _rules(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from tree.get("x-kubernetes-validations", ())
    for field in tree.get("properties", {}).values():
        yield from _rules(field)


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if field.get("type") == "array":
        return f"list of {field['items'].get('type', 'object')}s"
    bounds = [f"{sign} {field[key]}" for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in field]
    return " ".join([field.get("type", "object"), ", ".join(bounds)]).strip()


def _default(field: dict[str, Any], *, required: bool) -> str:
    if required:
        return "required"
    found = field.get("default")
    return "" if found in (None, {}, []) else f"`{str(found).lower() if isinstance(found, bool) else found}`"


def _text(field: dict[str, Any]) -> str:
    return " ".join(field.get("description", "").split()).replace("|", "\\|")


if __name__ == "__main__":
    DOCUMENT.write_text(document())
