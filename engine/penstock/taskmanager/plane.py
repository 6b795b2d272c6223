"""A worker's end of the data plane: makes the channels that a deployment names, local ones inside the worker.

The consumer's task of a deployment is always built before any producer starts, so an end that is asked for first
keeps the other until its task comes.
"""

from typing import final

from penstock.base.clock import Clock
from penstock.base.ids import ChannelId, WorkerId
from penstock.exchange.channel import InputChannel, OutputChannel
from penstock.exchange.client import DataClient
from penstock.exchange.local import LocalInput, LocalOutput, local_channel
from penstock.exchange.server import DataServer
from penstock.exchange.settings import ExchangeSettings
from penstock.rpc.messages import InputChannelSpec, OutputChannelSpec


@final
class DataPlane:
    """All channels of one worker."""

    def __init__(
        self, worker: WorkerId, server: DataServer, client: DataClient, settings: ExchangeSettings, clock: Clock
    ) -> None:
        self._worker = worker
        self._server = server
        self._client = client
        self._settings = settings
        self._clock = clock
        self._halves: dict[ChannelId, tuple[LocalOutput, LocalInput]] = {}

    def input(self, spec: InputChannelSpec) -> InputChannel:
        """The consumer's end of a channel."""
        if spec.local:
            return self._local(spec.channel)[1]
        return self._server.register(spec.channel)

    def output(self, spec: OutputChannelSpec) -> OutputChannel:
        """The producer's end of a channel."""
        if spec.worker == self._worker:
            return self._local(spec.channel)[0]
        return self._client.open(spec.channel, (spec.host, spec.data_port))

    def _local(self, channel: ChannelId) -> tuple[LocalOutput, LocalInput]:
        half = self._halves.pop(channel, None)
        if half is not None:
            return half
        ends = local_channel(channel, self._settings, self._clock)
        self._halves[channel] = ends
        return ends
