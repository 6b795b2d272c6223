"""One worker's data plane: its port, its connections to other workers, and the channels between its own tasks.

Made by the worker, asked by it for the two ends of every channel it deploys.
"""

from typing import final

from penstock.base.clock import Clock
from penstock.base.ids import ChannelId
from penstock.exchange.channels import InputChannel, OutputChannel
from penstock.exchange.client import Address, DataClient
from penstock.exchange.local import LocalInput, LocalOutput, local_channel
from penstock.exchange.server import DataServer
from penstock.exchange.settings import ExchangeSettings


@final
class DataPlane:
    """Gives out channel ends. A channel whose two tasks are in this worker is asked for as local by both."""

    def __init__(self, token: bytes, settings: ExchangeSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._client = DataClient(token, settings, clock)
        self._server = DataServer(token, settings)
        self._half_open: dict[ChannelId, tuple[LocalOutput, LocalInput]] = {}

    @property
    def port(self) -> int:
        """Where other workers connect."""
        return self._server.port

    @property
    def dropped_frames(self) -> int:
        """Frames of channels that nobody here reads: of deployments that are gone."""
        return self._server.dropped_frames

    async def listen(self, host: str, port: int, configuration_key: str) -> None:
        """Take the port; 0 takes a free one. A ConfigurationError names port and key when it cannot be had."""
        await self._server.listen(host, port, configuration_key)

    async def close(self) -> None:
        """Close port and connections. Channels are not told. Safe to call twice."""
        await self._client.close()
        await self._server.close()

    def input(self, channel: ChannelId, *, local: bool) -> InputChannel:
        """The consumer's end."""
        return self._local(channel)[1] if local else self._server.register(channel)

    def output(self, channel: ChannelId, address: Address | None) -> OutputChannel:
        """The producer's end of a channel to the worker at `address`; None: its consumer is in this worker."""
        return self._local(channel)[0] if address is None else self._client.open(channel, address)

    def _local(self, channel: ChannelId) -> tuple[LocalOutput, LocalInput]:
        found = self._half_open.pop(channel, None)
        if found is None:
            found = self._half_open[channel] = local_channel(channel, self._settings, self._clock)
        return found
