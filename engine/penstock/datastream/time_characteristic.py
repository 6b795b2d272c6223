"""PyFlink 1.x's choice of time for a whole program. Since 1.12 every operator says itself which time it uses."""

from enum import Enum
from typing import final


@final
class TimeCharacteristic(Enum):
    """Deprecated: event time needs a WatermarkStrategy, processing time nothing."""

    ProcessingTime = 0
    IngestionTime = 1
    EventTime = 2
