"""Which consumer subtasks a producer subtask has channels to: pure, asked when a job's channels are laid out."""

from penstock.graph.job_graph import Exchange


def consumers_of(exchange: Exchange, producer: int, producers: int, consumers: int) -> range:
    """The consumer subtasks that subtask `producer` of `producers` sends to, as Flink lays them out."""
    if not exchange.is_pointwise:
        return range(consumers)
    if producers == consumers:
        return range(producer, producer + 1)
    if producers < consumers:
        return range(-(-producer * consumers // producers), -(-(producer + 1) * consumers // producers))
    consumer = ((producer + 1) * consumers - 1) // producers
    return range(consumer, consumer + 1)
