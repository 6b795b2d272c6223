"""Keys of checkpoints and of recovery from them."""

from typing import Final

from penstock.common.options.kinds import (
    BOOLEAN,
    COUNT,
    DURATION,
    INTEGER,
    MEMORY,
    POSITIVE,
    STRING,
    at_least,
    choice,
    no_shorter_than,
)
from penstock.common.options.registry import ignored, option, optional
from penstock.common.time import Duration

INTERVAL: Final = optional(
    "execution.checkpointing.interval",
    no_shorter_than(Duration.of_millis(10)),
    "Time between two triggers. Not set: no checkpoints.",
)
INTERVAL_DURING_BACKLOG: Final = optional(
    "execution.checkpointing.interval-during-backlog",
    DURATION,
    "The same while a source works off a backlog; 0: none then.",
    no_effect="no source here reports a backlog",
)
MODE: Final = option(
    "execution.checkpointing.mode", choice("EXACTLY_ONCE", "AT_LEAST_ONCE"), "EXACTLY_ONCE", "What a restore promises."
)
TIMEOUT: Final = option(
    "execution.checkpointing.timeout", DURATION, Duration.of_minutes(10), "A checkpoint that takes longer is aborted."
)
MIN_PAUSE: Final = option(
    "execution.checkpointing.min-pause", DURATION, Duration.of_millis(0), "Between the end of one and the next trigger."
)
MAX_CONCURRENT: Final = option(
    "execution.checkpointing.max-concurrent-checkpoints", POSITIVE, 1, "Checkpoints that may be under way at once."
)
TOLERABLE_FAILURES: Final = option(
    "execution.checkpointing.tolerable-failed-checkpoints",
    COUNT,
    0,
    "Failed checkpoints in a row before the job fails over.",
)
RETENTION: Final = option(
    "execution.checkpointing.externalized-checkpoint-retention",
    choice("NO_EXTERNALIZED_CHECKPOINTS", "RETAIN_ON_CANCELLATION", "DELETE_ON_CANCELLATION"),
    "NO_EXTERNALIZED_CHECKPOINTS",
    "What stays of the newest checkpoint after the job is cancelled.",
)
AFTER_TASKS_FINISH: Final = option(
    "execution.checkpointing.checkpoints-after-tasks-finish",
    BOOLEAN,
    True,
    "Go on when some tasks have finished, and take a final one at the end of bounded input.",
    "execution.checkpointing.checkpoints-after-tasks-finish.enabled",
)
DIRECTORY: Final = optional(
    "execution.checkpointing.dir",
    STRING,
    "Where checkpoints go: a path, file:// or s3://.",
    "state.checkpoints.dir",
    "state.backend.fs.checkpointdir",
)
SAVEPOINT_DIRECTORY: Final = optional(
    "execution.checkpointing.savepoint-dir",
    STRING,
    "Where savepoints go if no target is named.",
    "state.savepoints.dir",
    "savepoints.state.backend.fs.dir",
)
_STORAGE_PACKAGE: Final = "org.apache.flink.runtime.state.storage."
STORAGE: Final = optional(
    "execution.checkpointing.storage",
    choice(
        "jobmanager",
        "filesystem",
        legacy={
            "memory": "jobmanager",
            "JobManagerCheckpointStorage": "jobmanager",
            "FileSystemCheckpointStorage": "filesystem",
            f"{_STORAGE_PACKAGE}JobManagerCheckpointStorage": "jobmanager",
            f"{_STORAGE_PACKAGE}FileSystemCheckpointStorage": "filesystem",
        },
    ),
    "In the JobManager's memory (5 MiB at most), or in the checkpoint folder. Not set: the folder if there is one.",
    "state.checkpoint-storage",
)
CREATE_SUBDIRECTORY: Final = option(
    "execution.checkpointing.create-subdir",
    BOOLEAN,
    True,
    "Put each job's checkpoints under a folder with its id.",
    "state.checkpoints.create-subdir",
)
NUM_RETAINED: Final = option(
    "execution.checkpointing.num-retained",
    POSITIVE,
    1,
    "Completed checkpoints that are kept.",
    "state.checkpoints.num-retained",
)
INCREMENTAL: Final = option(
    "execution.checkpointing.incremental",
    BOOLEAN,
    False,
    "Write only what changed since the checkpoint before.",
    "state.backend.incremental",
)
INLINE_THRESHOLD: Final = option(
    "execution.checkpointing.data-inline-threshold",
    MEMORY,
    20 * 1024,
    "State no larger than this travels in the metadata instead of a file; at most 1 MiB.",
    "state.storage.fs.memory-threshold",
    "state.backend.fs.memory-threshold",
)
WRITE_BUFFER: Final = option(
    "execution.checkpointing.write-buffer-size",
    POSITIVE,
    4096,
    "Bytes gathered before a write to a checkpoint file.",
    "state.storage.fs.write-buffer-size",
    "state.backend.fs.write-buffer-size",
)
COMPRESSION: Final = option("execution.checkpointing.snapshot-compression", BOOLEAN, False, "Compress full snapshots.")
CLEANER_PARALLEL: Final = option(
    "execution.checkpointing.cleaner.parallel-mode",
    BOOLEAN,
    True,
    "Delete the files of a subsumed checkpoint at once rather than one after the other.",
    "state.checkpoint.cleaner.parallel-mode",
)
_ALIGNED: Final = "checkpoints are aligned here: behind a slow function a barrier waits until what is under way is done"
UNALIGNED: Final = option(
    "execution.checkpointing.unaligned.enabled",
    BOOLEAN,
    False,
    "Barriers overtake records; what they overtake becomes part of the checkpoint.",
    "execution.checkpointing.unaligned",
    no_effect=_ALIGNED,
)
UNALIGNED_FORCED: Final = option(
    "execution.checkpointing.unaligned.forced",
    BOOLEAN,
    False,
    "Unaligned even where records need their order.",
    no_effect=_ALIGNED,
)
ALIGNED_TIMEOUT: Final = option(
    "execution.checkpointing.aligned-checkpoint-timeout",
    DURATION,
    Duration.of_millis(0),
    "Unaligned checkpoints begin aligned and turn over after this time.",
    "execution.checkpointing.alignment-timeout",
    no_effect=_ALIGNED,
)
LOCAL_BACKUP: Final = option(
    "execution.checkpointing.local-backup.enabled",
    BOOLEAN,
    False,
    "Keep a copy on the TaskManager's disk, for faster restarts.",
    fallbacks=("execution.state-recovery.from-local",),
    no_effect="state is restored from where checkpoints are kept",
)
LOCAL_RECOVERY: Final = option(
    "execution.state-recovery.from-local",
    BOOLEAN,
    False,
    "Restore from the copy on the TaskManager's disk where there is one.",
    "state.backend.local-recovery",
    no_effect="state is restored from where checkpoints are kept",
)
LOCAL_DIRECTORIES: Final = optional(
    "execution.checkpointing.local-backup.dirs",
    STRING,
    "Where those copies lie.",
    "taskmanager.state.local.root-dirs",
    no_effect="state is restored from where checkpoints are kept",
)
RECOVERY_PATH: Final = optional(
    "execution.state-recovery.path", STRING, "The savepoint or checkpoint to start from.", "execution.savepoint.path"
)
RECOVERY_IGNORE_UNCLAIMED: Final = option(
    "execution.state-recovery.ignore-unclaimed-state",
    BOOLEAN,
    False,
    "Start even if some of the state belongs to no operator.",
    "execution.savepoint.ignore-unclaimed-state",
)
RECOVERY_CLAIM: Final = option(
    "execution.state-recovery.claim-mode",
    choice("NO_CLAIM", "CLAIM", "LEGACY"),
    "NO_CLAIM",
    "Who owns what the job was started from.",
    "execution.savepoint-restore-mode",
)
RECOVERY_CHECKPOINT_ID: Final = option(
    "execution.state-recovery.without-channel-state.checkpoint-id",
    at_least(INTEGER, 0, or_else=-1),
    -1,
    "Leave out the in-flight data of this checkpoint.",
    "execution.checkpointing.recover-without-channel-state.checkpoint-id",
)

ignored(
    "files of one checkpoint are written as few as they can be here, without a switch",
    "execution.checkpointing.file-merging.enabled",
    "execution.checkpointing.file-merging.across-checkpoint-boundary",
    "execution.checkpointing.file-merging.max-file-size",
    "execution.checkpointing.file-merging.max-space-amplification",
    "execution.checkpointing.file-merging.max-subtasks-per-file",
    "execution.checkpointing.file-merging.pool-blocking",
)
