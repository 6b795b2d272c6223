"""What the JobManager's pure cores are told, read from the job's configuration."""

from typing import final

import msgspec

from penstock.base.errors import ConfigurationError
from penstock.base.ids import JobId, new_job_id
from penstock.checkpoint.cadence import CheckpointSettings
from penstock.checkpoint.retention import ExternalizedRetention
from penstock.common.configuration import Configuration
from penstock.common.options import checkpointing, cluster, jobs
from penstock.common.options import penstock as own
from penstock.common.settings import RestartSettings
from penstock.common.time import Duration
from penstock.jobmanager.restart import ExponentialDelay, FailureRate, FixedDelay, NoRestart, RestartStrategy


@final
class JobSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one job's master."""

    checkpoints: CheckpointSettings
    externalized: ExternalizedRetention
    pinned: tuple[str, ...]
    """Addresses of checkpoints and savepoints that are not removed."""
    exactly_once: bool
    allow_older: bool
    """Whether a damaged newest checkpoint may be passed over for the one before it."""
    allow_unclaimed: bool
    restore_path: str | None
    claim: bool
    """Whether what it is started from becomes the job's own."""
    slot_timeout_s: float
    cancellation_timeout_s: float
    history_max: int
    exceptions_max: int
    operations_kept_s: float
    savepoint_directory: str | None


def job_settings(configuration: Configuration) -> JobSettings:
    """Read them; a wrong value raises ConfigurationError."""
    get = configuration.get
    return JobSettings(
        checkpoints=CheckpointSettings(
            interval_s=_seconds(get(checkpointing.INTERVAL)),
            min_pause_s=get(checkpointing.MIN_PAUSE).to_seconds(),
            timeout_s=get(checkpointing.TIMEOUT).to_seconds(),
            concurrent_max=get(checkpointing.MAX_CONCURRENT),
            tolerable_failures=get(checkpointing.TOLERABLE_FAILURES),
            after_tasks_finish=get(checkpointing.AFTER_TASKS_FINISH),
            retained_max=get(checkpointing.NUM_RETAINED),
        ),
        externalized=ExternalizedRetention(get(checkpointing.RETENTION)),
        pinned=get(own.PINNED),
        exactly_once=get(checkpointing.MODE) == "EXACTLY_ONCE",
        allow_older=get(own.RESTORE_FALLBACK),
        allow_unclaimed=get(checkpointing.RECOVERY_IGNORE_UNCLAIMED),
        restore_path=get(checkpointing.RECOVERY_PATH),
        claim=_claims(get(checkpointing.RECOVERY_CLAIM)),
        slot_timeout_s=get(cluster.SLOT_REQUEST_TIMEOUT).to_seconds(),
        cancellation_timeout_s=get(jobs.CANCELLATION_TIMEOUT).to_seconds(),
        history_max=get(cluster.WEB_CHECKPOINTS),
        exceptions_max=get(cluster.WEB_EXCEPTIONS),
        operations_kept_s=get(cluster.REST_ASYNC_STORE).to_seconds(),
        savepoint_directory=get(checkpointing.SAVEPOINT_DIRECTORY),
    )


def job_id(configuration: Configuration) -> JobId:
    """The id that the configuration gives the job, or a new one."""
    text = configuration.get(own.JOB_ID)
    if text is None:
        return new_job_id()
    if len(text) != 32 or not set(text.lower()) <= set("0123456789abcdef"):
        raise ConfigurationError(f"{own.JOB_ID.key}: {text!r} is not a job id: expected 32 hexadecimal digits")
    return JobId(text.lower())


def restart_strategy(configuration: Configuration) -> RestartStrategy:
    """The strategy that the keys name; without one, as Flink: exponential-delay with checkpoints, none without."""
    settings = RestartSettings.of(configuration)
    match settings.strategy:
        case "none":
            return NoRestart()
        case "fixed-delay":
            return FixedDelay(attempts=settings.attempts, delay_s=settings.delay_s)
        case "failure-rate":
            return FailureRate(
                max_failures=settings.failures_max,
                interval_s=settings.failures_interval_s,
                delay_s=settings.delay_s,
            )
        case "exponential-delay":
            return ExponentialDelay(
                initial_s=settings.delay_s,
                max_s=settings.delay_max_s,
                multiplier=settings.delay_multiplier,
                reset_after_s=settings.delay_reset_after_s,
                jitter_factor=settings.delay_jitter,
                attempts=settings.attempts,
            )


def _claims(mode: str) -> bool:
    if mode == "LEGACY":
        raise ConfigurationError(
            f"{checkpointing.RECOVERY_CLAIM.key}: LEGACY is not supported, as nobody would own what the job is started "
            "from; use NO_CLAIM, which leaves it alone, or CLAIM, which deletes it when it is needed no more"
        )
    return mode == "CLAIM"


def _seconds(duration: Duration | None) -> float | None:
    return None if duration is None else duration.to_seconds()
