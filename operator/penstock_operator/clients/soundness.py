"""Whether a checkpoint or savepoint is whole, as far as that shows without reading state: `_metadata`, and every size.

The engine adds checksums of the bytes as it reads them. Blocks, and is called in threads; reads only.
"""

from collections.abc import Callable, Iterable, Mapping

from penstock_operator.clients.journal_format import Damaged
from penstock_operator.clients.layout import METADATA, checkpoint_folder, shared_prefix
from penstock_operator.clients.metadata_format import Metadata, checksum_of, decode
from penstock_operator.clients.objects import Address, Objects
from penstock_operator.errors import Missing

OpenAt = Callable[[Address], Objects]


def read_metadata(objects: Objects, path: str, checksum: str = "") -> Metadata:
    """Damaged where it is missing, or not what the journal says was written."""
    where = f"{objects.uri}/{path}"
    try:
        data = objects.read(path)
    except Missing as error:
        raise Damaged(f"{where} is missing") from error
    if checksum and checksum_of(data) != checksum:
        raise Damaged(f"{where} is not what the journal says was written: checksum {checksum} expected")
    return decode(data, where)


def sound_checkpoint(objects: Objects, job: str, id: int, path: str = "", checksum: str = "") -> Metadata:
    """Of the job's own folder. Damaged says what is wrong."""
    metadata = read_metadata(objects, path or f"{checkpoint_folder(job, id)}/{METADATA}", checksum)
    _check_sizes(objects, _prefixes(job, id, metadata), metadata.files, f"checkpoint {id}")
    return metadata


def sound_state_at(open_at: OpenAt, address: Address, checksum: str = "") -> Metadata:
    """Of a savepoint's folder, or of another job's `chk-<n>`. Damaged says what is wrong."""
    metadata = read_metadata(open_at(address), METADATA, checksum)
    if metadata.kind == "savepoint":
        _check_sizes(open_at(address), [""], metadata.files, address.uri)
    else:
        root = address.split()[0].split()[0]
        prefixes = _prefixes(metadata.job, metadata.checkpoint, metadata)
        _check_sizes(open_at(root), prefixes, metadata.files, address.uri)
    return metadata


def size_fault(found: Mapping[str, int], wanted: Mapping[str, int]) -> str:
    """What is wrong with the first file that is missing or has another size; empty where none is."""
    for path, size in sorted(wanted.items()):
        if path not in found:
            return f"{path} is missing"
        if found[path] != size:
            return f"{path} has {found[path]} bytes where {size} were written"
    return ""


def _prefixes(job: str, id: int, metadata: Metadata) -> list[str]:
    own = [f"{checkpoint_folder(job, id)}/"] if metadata.own else []
    return own + ([shared_prefix(job)] if metadata.shared else [])


def _check_sizes(objects: Objects, prefixes: Iterable[str], wanted: Mapping[str, int], what: str) -> None:
    if not wanted:
        return
    found = {entry.path: entry.size for prefix in prefixes for entry in objects.list(prefix)}
    fault = size_fault(found, wanted)
    if fault:
        raise Damaged(f"{what} in {objects.uri}: {fault}")
