"""Sources and sinks, under the module paths that PyFlink has for them."""

from penstock.datastream.connectors.base import DeliveryGuarantee, Sink, Source

__all__ = ["DeliveryGuarantee", "Sink", "Source"]
