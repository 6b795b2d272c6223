"""What docs/ says is what there is: the reference of the CustomResourceDefinitions, links, command lines."""

import re
import shlex
from pathlib import Path

import click
import pytest
from tests.contract.documents.write import DOCUMENT, document

from penstock.cli.main import main
from penstock.testing.documents import blocks_of

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_reference_is_what_the_definitions_say() -> None:
    assert DOCUMENT.read_text() == document(), "write it anew: python tests/contract/documents/write.py"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert target.startswith("http") or (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_says_what_it_is_for(path: Path) -> None:
    """What is for a laptop tests/documents runs, what is for a cluster tests/cluster."""
    for block in blocks_of(path):
        match block.kind:
            case ("sh", "laptop" | "cluster") | ("sh", "laptop" | "cluster", "stays") | ("text",) | ("json",):
                pass
            case (_, name):
                assert "." in name, block.where
            case _:
                pytest.fail(f"{block.where}: {block.kind}")
    outside = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^    .*", outside, re.MULTILINE) == [], "a block that nobody runs"


def commands() -> list[str]:
    """Of ours, in blocks and within sentences."""
    found = []
    for path in DOCUMENTS:
        found += re.findall(r"`(penstock [^`]*)`", path.read_text())
        found += [line for block in blocks_of(path) if block.language == "sh" for line in block.commands]
    return [line.partition("  #")[0] for line in found if line.startswith("penstock ")]


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
