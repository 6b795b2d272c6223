"""How long state lives after it was last used: what users configure on a descriptor.

Values only. What it does to reads and writes lies in `penstock.state.expiry` and in the backends' own handle classes
for state with a time to live; state without one knows nothing of this.
"""

from enum import Enum
from typing import Any, final

from penstock.common.time import Duration, Time

__all__ = ["StateTtlConfig"]


@final
class StateTtlConfig:
    """Time to live of a state; made with `StateTtlConfig.new_builder(Time.hours(1))...build()`."""

    @final
    class UpdateType(Enum):
        """Which accesses begin the time anew."""

        Disabled = 0
        """State does not expire."""

        OnCreateAndWrite = 1
        OnReadAndWrite = 2

    @final
    class StateVisibility(Enum):
        """Whether what has expired but is still there may be read."""

        ReturnExpiredIfNotCleanedUp = 0
        NeverReturnExpired = 1

    @final
    class TtlTimeCharacteristic(Enum):
        """The clock that counts."""

        ProcessingTime = 0

    def __init__(
        self,
        update_type: "StateTtlConfig.UpdateType",
        state_visibility: "StateTtlConfig.StateVisibility",
        ttl_time_characteristic: "StateTtlConfig.TtlTimeCharacteristic",
        ttl: Time | Duration,
        cleanup_strategies: "StateTtlConfig.CleanupStrategies",
    ) -> None:
        self._update_type = update_type
        self._state_visibility = state_visibility
        self._ttl_time_characteristic = ttl_time_characteristic
        self._ttl = ttl
        self._cleanup_strategies = cleanup_strategies
        if self.is_enabled() and self.ttl_ms <= 0:
            raise ValueError(f"a time to live must be longer than nothing, not {ttl!r}")

    @staticmethod
    def new_builder(ttl: Time | Duration) -> "StateTtlConfig.Builder":
        return StateTtlConfig.Builder(ttl)

    def get_update_type(self) -> "StateTtlConfig.UpdateType":
        return self._update_type

    def get_state_visibility(self) -> "StateTtlConfig.StateVisibility":
        return self._state_visibility

    def get_ttl(self) -> Time | Duration:
        return self._ttl

    @property
    def ttl_ms(self) -> int:
        ttl = self._ttl
        return ttl.to_millis() if isinstance(ttl, Duration) else ttl.to_milliseconds()

    def get_ttl_time_characteristic(self) -> "StateTtlConfig.TtlTimeCharacteristic":
        return self._ttl_time_characteristic

    def is_enabled(self) -> bool:
        return self._update_type is not StateTtlConfig.UpdateType.Disabled

    def get_cleanup_strategies(self) -> "StateTtlConfig.CleanupStrategies":
        return self._cleanup_strategies

    def __repr__(self) -> str:
        return (
            f"StateTtlConfig<update_type={self._update_type}, state_visibility={self._state_visibility}, "
            f"ttl_time_characteristic={self._ttl_time_characteristic}, ttl={self._ttl}>"
        )

    @final
    class Builder:
        """Says step by step what is not the default: written on create and write, never seen once expired."""

        def __init__(self, ttl: Time | Duration) -> None:
            self._ttl = ttl
            self._update_type = StateTtlConfig.UpdateType.OnCreateAndWrite
            self._state_visibility = StateTtlConfig.StateVisibility.NeverReturnExpired
            self._ttl_time_characteristic = StateTtlConfig.TtlTimeCharacteristic.ProcessingTime
            self._is_cleanup_in_background = True
            self._strategies: dict[StateTtlConfig.CleanupStrategies.Strategies, Any] = {}

        def set_update_type(self, update_type: "StateTtlConfig.UpdateType") -> "StateTtlConfig.Builder":
            self._update_type = update_type
            return self

        def update_ttl_on_create_and_write(self) -> "StateTtlConfig.Builder":
            return self.set_update_type(StateTtlConfig.UpdateType.OnCreateAndWrite)

        def update_ttl_on_read_and_write(self) -> "StateTtlConfig.Builder":
            return self.set_update_type(StateTtlConfig.UpdateType.OnReadAndWrite)

        def set_state_visibility(self, state_visibility: "StateTtlConfig.StateVisibility") -> "StateTtlConfig.Builder":
            self._state_visibility = state_visibility
            return self

        def return_expired_if_not_cleaned_up(self) -> "StateTtlConfig.Builder":
            return self.set_state_visibility(StateTtlConfig.StateVisibility.ReturnExpiredIfNotCleanedUp)

        def never_return_expired(self) -> "StateTtlConfig.Builder":
            return self.set_state_visibility(StateTtlConfig.StateVisibility.NeverReturnExpired)

        def set_ttl_time_characteristic(
            self, ttl_time_characteristic: "StateTtlConfig.TtlTimeCharacteristic"
        ) -> "StateTtlConfig.Builder":
            self._ttl_time_characteristic = ttl_time_characteristic
            return self

        def use_processing_time(self) -> "StateTtlConfig.Builder":
            return self.set_ttl_time_characteristic(StateTtlConfig.TtlTimeCharacteristic.ProcessingTime)

        def cleanup_full_snapshot(self) -> "StateTtlConfig.Builder":
            """Leave what has expired out of full snapshots."""
            strategies = StateTtlConfig.CleanupStrategies
            self._strategies[strategies.Strategies.FULL_STATE_SCAN_SNAPSHOT] = strategies.EMPTY_STRATEGY
            return self

        def cleanup_incrementally(
            self, cleanup_size: int, run_cleanup_for_every_record: bool
        ) -> "StateTtlConfig.Builder":
            """Look at `cleanup_size` keys per record and remove what has expired among them."""
            strategies = StateTtlConfig.CleanupStrategies
            self._strategies[strategies.Strategies.INCREMENTAL_CLEANUP] = strategies.IncrementalCleanupStrategy(
                cleanup_size, run_cleanup_for_every_record
            )
            return self

        def cleanup_in_rocksdb_compact_filter(
            self, query_time_after_num_entries: int, periodic_compaction_time: Duration | None = None
        ) -> "StateTtlConfig.Builder":
            """Remove what has expired in RocksDB in the background.

            Our RocksDB binding has no compaction filters: entries are looked through between batches instead, at
            most `query_time_after_num_entries` at a time, and all of them once in `periodic_compaction_time`
            (30 days unless told).
            """
            strategies = StateTtlConfig.CleanupStrategies
            self._strategies[strategies.Strategies.ROCKSDB_COMPACTION_FILTER] = (
                strategies.RocksdbCompactFilterCleanupStrategy(
                    query_time_after_num_entries, periodic_compaction_time or Duration.of_days(30)
                )
            )
            return self

        def disable_cleanup_in_background(self) -> "StateTtlConfig.Builder":
            """No clean-up but on access and what was asked for by name."""
            self._is_cleanup_in_background = False
            return self

        def set_ttl(self, ttl: Time | Duration) -> "StateTtlConfig.Builder":
            self._ttl = ttl
            return self

        def build(self) -> "StateTtlConfig":
            return StateTtlConfig(
                self._update_type,
                self._state_visibility,
                self._ttl_time_characteristic,
                self._ttl,
                StateTtlConfig.CleanupStrategies(self._strategies, self._is_cleanup_in_background),
            )

    @final
    class CleanupStrategies:
        """When what has expired is removed, besides on access."""

        @final
        class Strategies(Enum):
            FULL_STATE_SCAN_SNAPSHOT = 0
            INCREMENTAL_CLEANUP = 1
            ROCKSDB_COMPACTION_FILTER = 2

        class CleanupStrategy:
            """Base of the strategies."""

        @final
        class EmptyCleanupStrategy(CleanupStrategy):
            """One that needs no numbers."""

        @final
        class IncrementalCleanupStrategy(CleanupStrategy):
            def __init__(self, cleanup_size: int, run_cleanup_for_every_record: bool) -> None:
                if cleanup_size <= 0:
                    raise ValueError(f"the number of keys to look at must be positive, not {cleanup_size}")
                self._cleanup_size = cleanup_size
                self._run_cleanup_for_every_record = run_cleanup_for_every_record

            def get_cleanup_size(self) -> int:
                return self._cleanup_size

            def run_cleanup_for_every_record(self) -> bool:
                return self._run_cleanup_for_every_record

        @final
        class RocksdbCompactFilterCleanupStrategy(CleanupStrategy):
            def __init__(self, query_time_after_num_entries: int, periodic_compaction_time: Duration) -> None:
                self._query_time_after_num_entries = query_time_after_num_entries
                self._periodic_compaction_time = periodic_compaction_time

            def get_query_time_after_num_entries(self) -> int:
                return self._query_time_after_num_entries

            def get_periodic_compaction_time(self) -> Duration:
                return self._periodic_compaction_time

        EMPTY_STRATEGY = EmptyCleanupStrategy()

        def __init__(
            self,
            strategies: "dict[StateTtlConfig.CleanupStrategies.Strategies, Any]",
            is_cleanup_in_background: bool,
        ) -> None:
            self._strategies = dict(strategies)
            self._is_cleanup_in_background = is_cleanup_in_background

        def is_cleanup_in_background(self) -> bool:
            return self._is_cleanup_in_background

        def in_full_snapshot(self) -> bool:
            return StateTtlConfig.CleanupStrategies.Strategies.FULL_STATE_SCAN_SNAPSHOT in self._strategies

        def get_incremental_cleanup_strategy(
            self,
        ) -> "StateTtlConfig.CleanupStrategies.IncrementalCleanupStrategy | None":
            """What was asked for; in the background by default: five keys per access."""
            cleanup = StateTtlConfig.CleanupStrategies
            found: StateTtlConfig.CleanupStrategies.IncrementalCleanupStrategy | None = self._strategies.get(
                cleanup.Strategies.INCREMENTAL_CLEANUP,
                _DEFAULT_INCREMENTAL if self._is_cleanup_in_background else None,
            )
            return found

        def get_rocksdb_compact_filter_cleanup_strategy(
            self,
        ) -> "StateTtlConfig.CleanupStrategies.RocksdbCompactFilterCleanupStrategy | None":
            cleanup = StateTtlConfig.CleanupStrategies
            found: StateTtlConfig.CleanupStrategies.RocksdbCompactFilterCleanupStrategy | None = self._strategies.get(
                cleanup.Strategies.ROCKSDB_COMPACTION_FILTER,
                _DEFAULT_ROCKSDB if self._is_cleanup_in_background else None,
            )
            return found


_DEFAULT_INCREMENTAL = StateTtlConfig.CleanupStrategies.IncrementalCleanupStrategy(5, False)
_DEFAULT_ROCKSDB = StateTtlConfig.CleanupStrategies.RocksdbCompactFilterCleanupStrategy(1_000, Duration.of_days(30))
