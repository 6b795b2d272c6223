"""Where REST listens, by the configuration. Loads none of the server, so that a command can look before it begins."""

import errno
import socket
from collections.abc import Sequence

from penstock.base.errors import ConfigurationError
from penstock.common.configuration import Configuration
from penstock.common.options import cluster as options


def rest_host(configuration: Configuration) -> str:
    """The address that REST listens on; Flink's default is this machine only."""
    host = configuration.get(options.REST_BIND_ADDRESS) or "localhost"
    return "127.0.0.1" if host == "localhost" else host


def rest_ports(configuration: Configuration) -> tuple[int, ...]:
    """The ports that it may listen on, in the order they are tried."""
    return configuration.get(options.REST_BIND_PORT)


def listen_error(host: str, ports: Sequence[int]) -> str:
    """The sentence for ports that are all in use."""
    tried = f"port {ports[0]} on {host} is" if len(ports) == 1 else f"ports {ports[0]}-{ports[-1]} on {host} are"
    return f"{tried} in use: stop what uses it, or set {options.REST_PORT.key} to another port"


def unfit_error(host: str, port: int, error: OSError) -> str:
    """The sentence for an address that this machine cannot listen on, or a port that this user may not have."""
    keys = f"{options.REST_BIND_ADDRESS.key} and {options.REST_BIND_PORT.key}"
    return f"REST cannot listen on port {port} of {host}: {error.strerror}; see {keys}"


def check_free(host: str, ports: Sequence[int]) -> None:
    """ConfigurationError when all of the ports are in use, or cannot be had at all."""
    for port in ports:
        try:
            socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
        except socket.gaierror:
            return  # It may have an address of the other family: the server will see.
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise ConfigurationError(unfit_error(host, port, error)) from error
        return
    raise ConfigurationError(listen_error(host, ports))
