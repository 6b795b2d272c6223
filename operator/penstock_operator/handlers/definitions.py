"""`penstock-operator crds`: the CustomResourceDefinitions that this operator knows, for `kubectl apply`.

They come with the package, as copies of those in crds/; a test holds them together.
"""

from importlib.resources import files

import click


def definitions() -> dict[str, str]:
    """By file name, as YAML."""
    folder = files("penstock_operator") / "definitions"
    return {
        entry.name: entry.read_text("utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }


@click.command()
def crds() -> None:
    """Print the definitions of FlinkJob and FlinkStateSnapshot.

    \b
    Install or upgrade them by hand:
      penstock-operator crds | kubectl apply --server-side -f -
    """
    click.echo("---\n".join(definitions().values()), nl=False)
