"""Keys that shape one job: parallelism, chaining, batches, time, restarts, Python's own."""

from typing import Final

from penstock.common.options.kinds import (
    BOOLEAN,
    BUFFER_TIMEOUT,
    COUNT,
    DURATION,
    INTEGER,
    LIST,
    MAP,
    PATHS,
    POSITIVE,
    STRING,
    at_least,
    between,
    choice,
)
from penstock.common.options.registry import ignored, option, optional
from penstock.common.time import Duration

PARALLELISM: Final = option(
    "parallelism.default", at_least(INTEGER, 1, or_else=-1), 1, "Subtasks per operator where the program says nothing."
)
MAX_PARALLELISM: Final = option(
    "pipeline.max-parallelism",
    at_least(INTEGER, 1, largest=1 << 15, or_else=-1),
    -1,
    "Key groups, the bound of any later rescaling; -1: derived from the parallelism.",
)
NAME: Final = optional("pipeline.name", STRING, "The job's name.")
OBJECT_REUSE: Final = option("pipeline.object-reuse", BOOLEAN, False, "Hand emitted objects on without copying them.")
CHAINING: Final = option(
    "pipeline.operator-chaining.enabled",
    BOOLEAN,
    True,
    "Run neighbouring operators in one task.",
    "pipeline.operator-chaining",
)
CHAIN_DIFFERENT_MAX_PARALLELISM: Final = option(
    "pipeline.operator-chaining.chain-operators-with-different-max-parallelism",
    BOOLEAN,
    True,
    "Chain operators even if their max parallelism differs.",
)
AUTO_WATERMARK_INTERVAL: Final = option(
    "pipeline.auto-watermark-interval",
    DURATION,
    Duration.of_millis(200),
    "How often generators are asked for a watermark; 0: never.",
)
AUTO_GENERATE_UIDS: Final = option(
    "pipeline.auto-generate-uids", BOOLEAN, True, "False: refuse operators without a uid of their own."
)
GENERIC_TYPES: Final = option(
    "pipeline.generic-types", BOOLEAN, True, "False: refuse streams and state whose type is not declared."
)
GLOBAL_JOB_PARAMETERS: Final = optional(
    "pipeline.global-job-parameters", MAP, "Parameters of the user's own, seen by all functions and in the dashboard."
)
PARALLELISM_OVERRIDES: Final = option(
    "pipeline.jobvertex-parallelism-overrides", MAP, {}, "Parallelism by vertex id, over what the program says."
)
CLOSURE_CLEANER: Final = option(
    "pipeline.closure-cleaner-level",
    choice("RECURSIVE", "TOP_LEVEL", "NONE"),
    "RECURSIVE",
    "Kept for programs that set it.",
)
VERTEX_DESCRIPTION: Final = option(
    "pipeline.vertex-description-mode", choice("TREE", "CASCADING"), "TREE", "How the dashboard describes a chain."
)
VERTEX_INDEX_PREFIX: Final = option(
    "pipeline.vertex-name-include-index-prefix", BOOLEAN, False, "Number the vertices in their names."
)
RUNTIME_MODE: Final = option(
    "execution.runtime-mode",
    choice("STREAMING", "BATCH", "AUTOMATIC"),
    "STREAMING",
    "Results as they come, or once at the end of bounded input.",
)
BUFFER_TIMEOUT_ENABLED: Final = option(
    "execution.buffer-timeout.enabled", BOOLEAN, True, "False: batches go out only when they are full."
)
BUFFER_TIMEOUT_INTERVAL: Final = option(
    "execution.buffer-timeout.interval",
    BUFFER_TIMEOUT,
    Duration.of_millis(100),
    "A batch goes out after this time even if it is not full; 0: each record at once.",
    "execution.buffer-timeout",
)
ATTACHED: Final = option("execution.attached", BOOLEAN, False, "Wait for the job to end after submitting it.")
SHUTDOWN_ON_ATTACHED_EXIT: Final = option(
    "execution.shutdown-on-attached-exit", BOOLEAN, False, "Stop the cluster when an attached client goes."
)
TARGET: Final = optional("execution.target", STRING, "Where the job runs: local, or remote for a running cluster.")
LATENCY_INTERVAL: Final = option(
    "metrics.latency.interval",
    DURATION,
    Duration.of_millis(0),
    "How often sources send a latency marker; 0: never.",
    no_effect="there are no latency markers; watermarks and busy times tell where records wait",
)

_RESTARTS: Final = {
    "off": "none", "disable": "none", "disabled": "none", "fixeddelay": "fixed-delay", "failurerate": "failure-rate",
    "exponentialdelay": "exponential-delay",
}  # fmt: skip
RESTART_STRATEGY: Final = optional(
    "restart-strategy.type",
    choice("none", "fixed-delay", "failure-rate", "exponential-delay", legacy=_RESTARTS),
    "What happens after a failure. Not set: exponential-delay with checkpointing, none without.",
    "restart-strategy",
)
FIXED_DELAY_ATTEMPTS: Final = option(
    "restart-strategy.fixed-delay.attempts", COUNT, 1, "Restarts before the job fails."
)
FIXED_DELAY_DELAY: Final = option(
    "restart-strategy.fixed-delay.delay", DURATION, Duration.of_seconds(1), "Pause before each restart."
)
FAILURE_RATE_MAX: Final = option(
    "restart-strategy.failure-rate.max-failures-per-interval",
    POSITIVE,
    1,
    "Failures within the interval that are borne.",
)
FAILURE_RATE_INTERVAL: Final = option(
    "restart-strategy.failure-rate.failure-rate-interval",
    DURATION,
    Duration.of_minutes(1),
    "The interval that is counted over.",
)
FAILURE_RATE_DELAY: Final = option(
    "restart-strategy.failure-rate.delay", DURATION, Duration.of_seconds(1), "Pause before each restart."
)
EXPONENTIAL_INITIAL: Final = option(
    "restart-strategy.exponential-delay.initial-backoff", DURATION, Duration.of_seconds(1), "The first pause."
)
EXPONENTIAL_MAX: Final = option(
    "restart-strategy.exponential-delay.max-backoff", DURATION, Duration.of_minutes(1), "The longest pause."
)
EXPONENTIAL_MULTIPLIER: Final = option(
    "restart-strategy.exponential-delay.backoff-multiplier",
    between(1.0, 1_000.0),
    1.5,
    "Each pause over the one before.",
)
EXPONENTIAL_RESET: Final = option(
    "restart-strategy.exponential-delay.reset-backoff-threshold",
    DURATION,
    Duration.of_hours(1),
    "Running well for this long sets the pause back to the first one.",
)
EXPONENTIAL_JITTER: Final = option(
    "restart-strategy.exponential-delay.jitter-factor", between(0.0, 1.0), 0.1, "Random part of each pause."
)
EXPONENTIAL_ATTEMPTS: Final = option(
    "restart-strategy.exponential-delay.attempts-before-reset-backoff",
    POSITIVE,
    2**31 - 1,
    "Restarts without a reset before the job fails.",
)
CANCELLATION_INTERVAL: Final = option(
    "task.cancellation.interval",
    DURATION,
    Duration.of_seconds(30),
    "Between two attempts to interrupt a task that does not stop.",
    "task.cancellation-interval",
)
CANCELLATION_TIMEOUT: Final = option(
    "task.cancellation.timeout",
    DURATION,
    Duration.of_minutes(3),
    "A worker that has not stopped by then is killed; 0: never.",
)

PYTHON_FILES: Final = option("python.files", PATHS, (), "Modules, packages and folders for the import path of workers.")
PYTHON_ARCHIVES: Final = option(
    "python.archives", PATHS, (), "Archives to unpack beside the workers, as path or path#folder."
)
PYTHON_REQUIREMENTS: Final = optional("python.requirements", STRING, "A requirements.txt to install for the workers.")
PYTHON_PATH: Final = optional("python.pythonpath", STRING, "Put before the import path of workers.")
PYTHON_EXECUTABLE: Final = option("python.executable", STRING, "python", "The interpreter of the workers.")
PYTHON_CLIENT_EXECUTABLE: Final = option(
    "python.client.executable", STRING, "python", "The interpreter that runs the script."
)
PYTHON_PROFILE: Final = option(
    "python.profile.enabled", BOOLEAN, False, "Profile the user's functions.", no_effect="there is no profiler built in"
)
PYTHON_METRICS: Final = option("python.metric.enabled", BOOLEAN, True, "Collect the metrics of the user's functions.")
PYTHON_LOG_LEVEL: Final = option(
    "python.logging.default.level", STRING, "INFO", "The level of the root logger of workers."
)
PYTHON_LOG_LEVELS: Final = optional("python.logging.level.overrides", MAP, "Levels by logger name.")
PYTHON_JOB_OPTIONS: Final = optional("python.job-options", MAP, "Options for the script.")
SOURCES_PAUSE: Final = option(
    "pipeline.sources.pause-until-first-checkpoint",
    BOOLEAN,
    False,
    "Sources wait for the first checkpoint after a restore.",
)
CACHED_FILES: Final = option(
    "pipeline.cached-files",
    LIST,
    (),
    "Files that travel with the job: name:...,path:...",
    no_effect="add_python_file and add_python_archive have files travel with the job",
)
ALIGNMENT_SPLITS: Final = option(
    "pipeline.watermark-alignment.allow-unaligned-source-splits", BOOLEAN, False, "Bear splits that cannot be paused."
)

ignored(
    "there is no JVM here; install Python packages, or name them in python.files or python.requirements",
    "pipeline.jars",
    "pipeline.classpaths",
)
ignored(
    "functions and runtime share one Python process here, so that nothing has to be tuned between two",
    "python.execution-mode",
    "python.fn-execution.arrow.batch.size",
    "python.fn-execution.bundle.size",
    "python.fn-execution.bundle.time",
    "python.fn-execution.memory.managed",
    "python.map-state.iterate-response-batch-size",
    "python.map-state.read-cache-size",
    "python.map-state.write-cache-size",
    "python.state.cache-size",
    "python.systemenv.enabled",
    "python.operator-chaining.enabled",
)
ignored(
    "values are serialised by their declared type or pickled, never by Kryo or Avro",
    "pipeline.force-kryo",
    "pipeline.force-avro",
    "pipeline.force-kryo-avro",
    "pipeline.serialization-config",
)
