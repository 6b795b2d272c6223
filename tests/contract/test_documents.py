"""What docs/ says is what there is: the reference of the CustomResourceDefinitions, links, command lines."""

import re
import shlex
from pathlib import Path

import click
import pytest
from tests.contract.documents.write import DOCUMENT, document

from penstock.cli.main import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_reference_is_what_the_definitions_say() -> None:
    assert DOCUMENT.read_text() == document(), "write it anew: python tests/contract/documents/write.py"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert target.startswith("http") or (path.parent / target).exists(), target


def commands() -> list[str]:
    """Of ours, from indented blocks: one that goes on in the next line is one."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text().replace("\\\n", " ")
        found += re.findall(r"^    (penstock .*?)(?:  +#.*)?$", text, re.MULTILINE)
    return found


@pytest.mark.parametrize("command", commands())
def test_every_command_line_of_ours_is_one_that_is_understood(command: str) -> None:
    words = shlex.split(command)[1:]
    group: click.Command = main
    context = click.Context(main)
    while isinstance(group, click.Group):
        _name, found, words = group.resolve_command(context, words)
        assert found is not None
        group, context = found, click.Context(found, parent=context, **found.context_settings)
    group.make_parser(context).parse_args(words)
