"""`penstock fetch`: copies one object of a store to a local file, such as a script that a pod is to run."""

from pathlib import Path

import click

from penstock.base.errors import ConfigurationError, StoreRefused
from penstock.cli.configuring import cluster_configuration, conf_option, definitions_option, flags
from penstock.cli.ending import one_sentence, say


@click.command()
@definitions_option
@conf_option
@click.argument("uri")
@click.argument("file", type=click.Path(path_type=Path))
def fetch(uri: str, file: Path, definitions: tuple[str, ...], conf: str | None) -> None:
    """Copy the object at URI (s3://BUCKET/KEY or file:///PATH) to FILE.

    FILE appears whole or not at all, and replaces what was there. Credentials and endpoint come from --conf, from -D,
    or from the environment, as for checkpoints.
    """
    with one_sentence():
        from penstock.storage import S3Settings, open_store

        root, slash, name = uri.rpartition("/")
        root = root or slash
        if not slash or not name or (root != "/" and root.endswith(("/", ":"))):
            raise ConfigurationError(f"{uri}: expected s3://BUCKET/KEY or file:///FOLDER/NAME")
        configuration = cluster_configuration(conf).add_all(flags(definitions))
        store = open_store(root, S3Settings.from_configuration(configuration))
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            store.fetch_file(name, file)
            size = file.stat().st_size
        except OSError as error:
            raise StoreRefused(f"cannot write {file}: {error.strerror}") from error
        say(f"{uri}: {size} bytes to {file}")
