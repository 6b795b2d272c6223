"""Text from a socket. PyFlink has no such source in Python."""

from penstock.connectors.socket_source import SocketSource

__all__ = ["SocketSource"]
