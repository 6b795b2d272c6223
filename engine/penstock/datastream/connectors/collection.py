"""Values as a source, for `from_source`; `from_collection` is shorter."""

from penstock.connectors.collection import CollectionSource

__all__ = ["CollectionSource"]
