"""Keys of our own. Any other key that begins with `penstock.` is an error, so that no typing mistake goes unseen."""

from typing import Final

from penstock.common.options.kinds import BOOLEAN, COUNT, DURATION, LIST, MAP, MEMORY, POSITIVE, STRING, between, choice
from penstock.common.options.registry import option, optional
from penstock.common.time import Duration

SECRET: Final = optional(
    "penstock.security.secret", STRING, "Shared by all processes of a cluster; peers must prove it first.", secret=True
)
SECRET_FILE: Final = optional("penstock.security.secret-file", STRING, "A file that holds the shared secret.")
BATCH_RECORDS: Final = option(
    "penstock.batch.records-max",
    POSITIVE,
    1_000,
    "Records a source or an exchange puts in one batch; an exchange with another worker four times as many.",
)
BATCH_STEP: Final = option(
    "penstock.batch.step-time",
    DURATION,
    Duration.of_millis(5),
    "A worker turns to sockets and timers at least this often.",
)
SNAPSHOT_DUTY: Final = option(
    "penstock.snapshot.duty",
    between(0.01, 1.0),
    0.25,
    "Share of a busy worker's time for serialising snapshots; for the first 50 ms of each up to half of it.",
)
EXCHANGE_CREDIT: Final = option(
    "penstock.exchange.credit", MEMORY, 1 << 20, "Bytes that may be under way on one channel between two workers."
)
JOBMANAGER_STATE: Final = option(
    "penstock.checkpoint.jobmanager-state-max",
    MEMORY,
    5 << 20,
    "What one operator's state in one subtask may take in the JobManager's memory, at most 5 MiB.",
)
PINNED: Final = option(
    "penstock.checkpoint.pinned",
    LIST,
    (),
    "Addresses of checkpoints and savepoints that are not removed, and do not count among those retained.",
)
RESTORE_FALLBACK: Final = option(
    "penstock.recovery.older-checkpoint", BOOLEAN, True, "If the newest checkpoint is damaged, use the one before."
)
STANDBY: Final = option(
    "penstock.jobmanager.standby", BOOLEAN, False, "Load and check the job, then wait to be told to start it."
)
REVISION: Final = optional(
    "penstock.jobmanager.revision", STRING, "In standby: which version of the job this is, by its name in the journal."
)
LOG_LEVEL: Final = option(
    "penstock.log.level",
    choice("DEBUG", "INFO", "WARNING", "ERROR"),
    "WARNING",
    "What goes to the log.",
    "env.log.level",
)
LOG_LEVELS: Final = optional(
    "penstock.log.levels", MAP, "Levels of single loggers, with all below them: botocore:INFO,my_job.parsing:DEBUG."
)
LOG_FORMAT: Final = option(
    "penstock.log.format", choice("lines", "json"), "lines", "Log lines for people, or one JSON object a line."
)
LOG_FOLDER: Final = optional(
    "env.log.dir", STRING, "A folder for log files, besides standard error; REST shows what lies in it."
)
LOG_FILE_BYTES: Final = option("penstock.log.file-size", MEMORY, 100 << 20, "A log file larger than this is put aside.")
LOG_FILES_KEPT: Final = option("env.log.max", COUNT, 10, "Log files that were put aside and are kept.")
JOB_ID: Final = optional(
    "penstock.job.id",
    STRING,
    "The job's id, 32 hexadecimal digits: with the one it had, a job goes on. Default: a new one.",
)
