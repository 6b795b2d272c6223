"""Values of declared types, and of undeclared ones, as bytes in state and checkpoints."""

from penstock.records.serializers.compatibility import (
    Compatibility,
    Compatible,
    Incompatible,
    Migrate,
    check_compatible,
)
from penstock.records.serializers.descriptions import type_from_json, type_to_json
from penstock.records.serializers.serializer import PickledSerializer, Serializer, serializer_for, serializer_from
from penstock.records.serializers.unpicklable import explain_unpicklable

__all__ = [
    "Compatibility",
    "Compatible",
    "Incompatible",
    "Migrate",
    "PickledSerializer",
    "Serializer",
    "check_compatible",
    "explain_unpicklable",
    "serializer_for",
    "serializer_from",
    "type_from_json",
    "type_to_json",
]
