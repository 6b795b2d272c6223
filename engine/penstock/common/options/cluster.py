"""Keys of processes: addresses, ports, slots, memory, heartbeats, REST, metrics."""

from typing import Final

from penstock.common.options.kinds import (
    BOOLEAN,
    COUNT,
    DURATION,
    FLOAT,
    LIST,
    MEMORY,
    PORT,
    PORTS,
    POSITIVE,
    STRING,
    between,
    choice,
)
from penstock.common.options.registry import ignored, option, optional
from penstock.common.time import Duration

JM_ADDRESS: Final = optional(
    "jobmanager.rpc.address", STRING, "Host name or address under which the JobManager is reached."
)
JM_PORT: Final = option("jobmanager.rpc.port", PORT, 6123, "Port of the JobManager's RPC.")
JM_BIND_HOST: Final = optional("jobmanager.bind-host", STRING, "Address the JobManager listens on.")
JM_BIND_PORT: Final = optional(
    "jobmanager.rpc.bind-port", PORT, "Port the JobManager listens on, if not the one it is reached by."
)
JM_RESOURCE_ID: Final = optional("jobmanager.resource-id", STRING, "The JobManager's name in logs.")
JM_FAILOVER: Final = option(
    "jobmanager.execution.failover-strategy",
    choice("region", "full"),
    "region",
    "Restart what is connected, or everything.",
)
JM_ATTEMPTS_HISTORY: Final = option(
    "jobmanager.execution.attempts-history-size",
    POSITIVE,
    16,
    "Past attempts remembered per subtask.",
    "job-manager.max-attempts-history-size",
)
JM_ARCHIVE: Final = optional("jobmanager.archive.fs.dir", STRING, "Where the story of ended jobs is kept.")
JM_PROCESS_MEMORY: Final = optional("jobmanager.memory.process.size", MEMORY, "Memory of the JobManager's process.")
JM_FLINK_MEMORY: Final = optional("jobmanager.memory.flink.size", MEMORY, "The same, less what the interpreter takes.")

TM_HOST: Final = optional("taskmanager.host", STRING, "Host name or address under which a TaskManager is reached.")
TM_BIND_HOST: Final = optional("taskmanager.bind-host", STRING, "Address a TaskManager listens on.")
TM_RPC_PORT: Final = option("taskmanager.rpc.port", PORTS, (0,), "Port of a TaskManager's RPC; 0: any free one.")
TM_RPC_BIND_PORT: Final = optional("taskmanager.rpc.bind-port", PORT, "Port a TaskManager's RPC listens on.")
TM_DATA_PORT: Final = option("taskmanager.data.port", PORT, 0, "Port for records between workers; 0: any free one.")
TM_DATA_BIND_PORT: Final = optional("taskmanager.data.bind-port", PORTS, "Ports workers listen on.")
TM_SLOTS: Final = option("taskmanager.numberOfTaskSlots", POSITIVE, 1, "Workers per TaskManager.")
TM_RESOURCE_ID: Final = optional(
    "taskmanager.resource-id", STRING, "The TaskManager's id; default: its host and a random part."
)
TM_REGISTRATION_TIMEOUT: Final = option(
    "taskmanager.registration.timeout",
    DURATION,
    Duration.of_minutes(5),
    "A TaskManager that finds no JobManager for so long ends.",
    "taskmanager.maxRegistrationDuration",
)
TM_SLOT_TIMEOUT: Final = option(
    "taskmanager.slot.timeout",
    DURATION,
    Duration.of_seconds(10),
    "A slot offered but not taken is freed.",
    fallbacks=("pekko.ask.timeout",),
)
TM_CPU: Final = optional("taskmanager.cpu.cores", FLOAT, "Cores a TaskManager says it has.")
TM_PROCESS_MEMORY: Final = optional(
    "taskmanager.memory.process.size", MEMORY, "Memory of a TaskManager with all its workers."
)
TM_FLINK_MEMORY: Final = optional("taskmanager.memory.flink.size", MEMORY, "The same, less what the interpreters take.")
TM_MANAGED_MEMORY: Final = optional(
    "taskmanager.memory.managed.size", MEMORY, "Memory for RocksDB in all slots together.", "taskmanager.memory.size"
)
TM_MANAGED_FRACTION: Final = option(
    "taskmanager.memory.managed.fraction", between(0.0, 1.0), 0.4, "The same as a share of the TaskManager's memory."
)
TM_NETWORK_FRACTION: Final = option(
    "taskmanager.memory.network.fraction",
    between(0.0, 1.0),
    0.1,
    "Share of memory for records under way.",
    "taskmanager.network.memory.fraction",
    no_effect="records under way are bounded by each channel's credit",
)
TM_NETWORK_MIN: Final = option(
    "taskmanager.memory.network.min",
    MEMORY,
    64 << 20,
    "At least so much.",
    "taskmanager.network.memory.min",
    no_effect="records under way are bounded by each channel's credit",
)
TM_NETWORK_MAX: Final = option(
    "taskmanager.memory.network.max",
    MEMORY,
    2**63 - 1,
    "At most so much.",
    "taskmanager.network.memory.max",
    no_effect="records under way are bounded by each channel's credit",
)
TM_SEGMENT: Final = option("taskmanager.memory.segment-size", MEMORY, 32 << 10, "Bytes after which a batch goes out.")
TM_BUFFERS_TIMEOUT: Final = option(
    "taskmanager.network.memory.buffers-request-timeout",
    DURATION,
    Duration.of_seconds(30),
    "Time to connect the channels of a task.",
    "taskmanager.network.memory.exclusive-buffers-request-timeout-ms",
)
TM_PARTITION_TIMEOUT: Final = option(
    "taskmanager.network.partition-request-timeout", DURATION, Duration.of_seconds(10), "Time for a producer to appear."
)
TM_CONNECT_TIMEOUT_S: Final = option(
    "taskmanager.network.netty.client.connectTimeoutSec",
    POSITIVE,
    120,
    "Seconds to make a data connection.",
    "taskmanager.net.client.connectTimeoutSec",
)
TM_LOG: Final = optional("taskmanager.log.path", STRING, "The TaskManager's log file, for the dashboard.")

HEARTBEAT_INTERVAL: Final = option("heartbeat.interval", DURATION, Duration.of_seconds(10), "Between two heartbeats.")
HEARTBEAT_TIMEOUT: Final = option(
    "heartbeat.timeout", DURATION, Duration.of_seconds(50), "A peer silent for so long is held for dead."
)
HEARTBEAT_RPC_FAILURES: Final = option(
    "heartbeat.rpc-failure-threshold", COUNT, 2, "Refused connections in a row after which it is too."
)
SLOT_REQUEST_TIMEOUT: Final = option(
    "slot.request.timeout", DURATION, Duration.of_minutes(5), "Time for enough slots to appear."
)
SLOT_IDLE_TIMEOUT: Final = option(
    "slot.idle.timeout", DURATION, Duration.of_seconds(50), "An unused slot is given back after this."
)
REGISTRATION_INITIAL: Final = option(
    "cluster.registration.initial-timeout", DURATION, Duration.of_millis(100), "First wait for an answer."
)
REGISTRATION_MAX: Final = option(
    "cluster.registration.max-timeout", DURATION, Duration.of_seconds(30), "Longest wait for an answer."
)
REGISTRATION_ERROR_DELAY: Final = option(
    "cluster.registration.error-delay", DURATION, Duration.of_seconds(10), "Pause after an error."
)
REGISTRATION_REFUSED_DELAY: Final = option(
    "cluster.registration.refused-registration-delay", DURATION, Duration.of_seconds(30), "Pause after a refusal."
)
SHUTDOWN_TIMEOUT: Final = option(
    "cluster.services.shutdown-timeout", DURATION, Duration.of_seconds(30), "Time for a clean stop."
)
CLUSTER_ID: Final = option("cluster.id", STRING, "0" * 32, "Names this cluster.")
IO_POOL: Final = optional("cluster.io-pool.size", POSITIVE, "Threads for blocking reads and writes.")
MINICLUSTER_TASK_MANAGERS: Final = option(
    "minicluster.number-of-taskmanagers", POSITIVE, 1, "TaskManagers of a local cluster.", "local.number-taskmanager"
)
CLIENT_TIMEOUT: Final = option(
    "client.timeout", DURATION, Duration.of_minutes(1), "Time for a command's answer.", "akka.client.timeout"
)
CLIENT_RETRY: Final = option(
    "client.retry-period", DURATION, Duration.of_seconds(2), "Between two questions about a job's state."
)
RPC_TIMEOUT: Final = option(
    "pekko.ask.timeout", DURATION, Duration.of_seconds(10), "Time for an answer between processes.", "akka.ask.timeout"
)
HA_TYPE: Final = option(
    "high-availability.type",
    STRING,
    "NONE",
    "Kept: the journal in the store decides who leads.",
    "high-availability",
    "recovery.mode",
    no_effect="the journal in the checkpoint folder decides who leads",
)
HA_STORAGE: Final = optional(
    "high-availability.storageDir",
    STRING,
    "Where a job's journal lies, if not in the checkpoint folder.",
    "high-availability.zookeeper.storageDir",
    "recovery.zookeeper.storageDir",
    no_effect="the journal in the checkpoint folder decides who leads",
)
WORKING_DIRECTORY: Final = optional("process.working-dir", STRING, "A folder for a process's local files.")
JM_WORKING_DIRECTORY: Final = optional(
    "process.jobmanager.working-dir", STRING, "The JobManager's.", fallbacks=("process.working-dir",)
)
TM_WORKING_DIRECTORY: Final = optional(
    "process.taskmanager.working-dir", STRING, "A TaskManager's.", fallbacks=("process.working-dir",)
)
COLLECT_BATCH: Final = option("collect-sink.batch-size.max", MEMORY, 2 << 20, "Bytes of results fetched at once.")
COLLECT_TIMEOUT: Final = option(
    "collect-sink.socket-timeout", DURATION, Duration.of_seconds(10), "Time to wait for results."
)

REST_ADDRESS: Final = optional("rest.address", STRING, "Where REST is reached.", fallbacks=("jobmanager.rpc.address",))
REST_PORT: Final = option("rest.port", PORT, 8081, "Port where REST is reached.", "web.port")
REST_BIND_ADDRESS: Final = optional(
    "rest.bind-address", STRING, "Address REST listens on.", "web.address", "jobmanager.web.address"
)
REST_BIND_PORT: Final = option(
    "rest.bind-port",
    PORTS,
    (8081,),
    "Ports REST may listen on; 0: any free one.",
    "jobmanager.web.port",
    fallbacks=("rest.port",),
)
REST_MAX_CONTENT: Final = option(
    "rest.server.max-content-length", POSITIVE, 104_857_600, "The longest request, in bytes."
)
REST_CLIENT_MAX_CONTENT: Final = option(
    "rest.client.max-content-length", POSITIVE, 104_857_600, "The longest answer, in bytes."
)
REST_CONNECTION_TIMEOUT: Final = option(
    "rest.connection-timeout", DURATION, Duration.of_seconds(15), "Time to make a connection."
)
REST_IDLENESS_TIMEOUT: Final = option(
    "rest.idleness-timeout", DURATION, Duration.of_minutes(5), "An unused connection is closed."
)
REST_ASYNC_STORE: Final = option(
    "rest.async.store-duration",
    DURATION,
    Duration.of_minutes(5),
    "How long the outcome of a savepoint or of another operation can be asked for.",
)
REST_RETRIES: Final = option("rest.retry.max-attempts", COUNT, 20, "Attempts of the client.")
REST_RETRY_DELAY: Final = option("rest.retry.delay", DURATION, Duration.of_seconds(3), "Between two of them.")
FLAME_ENABLED: Final = option("rest.flamegraph.enabled", BOOLEAN, True, "Workers' stacks are sampled when asked for.")
FLAME_REFRESH: Final = option(
    "rest.flamegraph.refresh-interval", DURATION, Duration.of_minutes(1), "Samples older than this are taken anew."
)
FLAME_CLEAN_UP: Final = option(
    "rest.flamegraph.cleanup-interval", DURATION, Duration.of_minutes(10), "Samples not asked for so long are dropped."
)
FLAME_SAMPLES: Final = option("rest.flamegraph.num-samples", POSITIVE, 100, "Looks at each subtask for one graph.")
FLAME_DELAY: Final = option(
    "rest.flamegraph.delay-between-samples", DURATION, Duration.of_millis(50), "Between two of them."
)
FLAME_DEPTH: Final = option("rest.flamegraph.stack-depth", POSITIVE, 100, "Frames shown of a stack, the innermost.")
PROFILER_ENABLED: Final = option(
    "rest.profiling.enabled",
    BOOLEAN,
    False,
    "There is no profiler of the JVM here; see the flame graph.",
    no_effect="there is no JVM to profile; rest.flamegraph.enabled shows where workers spend their time",
)
WEB_CANCEL: Final = option("web.cancel.enable", BOOLEAN, True, "Jobs can be cancelled from the dashboard.")
WEB_SUBMIT: Final = option(
    "web.submit.enable", BOOLEAN, True, "Jobs can be submitted from the dashboard.", "jobmanager.web.submit.enable"
)
WEB_CHECKPOINTS: Final = option(
    "web.checkpoints.history", POSITIVE, 10, "Checkpoints remembered for REST.", "jobmanager.web.checkpoints.history"
)
WEB_EXCEPTIONS: Final = option("web.exception-history-size", POSITIVE, 16, "Failures remembered for REST.")
WEB_HISTORY: Final = option("web.history", POSITIVE, 5, "Ended jobs remembered for REST.", "jobmanager.web.history")
WEB_REFRESH: Final = option(
    "web.refresh-interval",
    DURATION,
    Duration.of_seconds(3),
    "How fresh REST's figures are.",
    "jobmanager.web.refresh-interval",
)
WEB_TIMEOUT: Final = option("web.timeout", DURATION, Duration.of_minutes(10), "Time for an answer of the JobManager.")
WEB_TMP: Final = option("web.tmpdir", STRING, "/tmp", "Folder for uploads.", "jobmanager.web.tmpdir")
WEB_UPLOAD: Final = optional("web.upload.dir", STRING, "Folder for uploaded scripts.", "jobmanager.web.upload.dir")
WEB_LOG: Final = optional(
    "web.log.path", STRING, "The JobManager's log file, for the dashboard.", "jobmanager.web.log.path"
)
WEB_ORIGIN: Final = option(
    "web.access-control-allow-origin",
    STRING,
    "*",
    "Pages of which origins may call REST.",
    "jobmanager.web.access-control-allow-origin",
)

METRICS_INTERVAL: Final = option(
    "metrics.fetcher.update-interval",
    DURATION,
    Duration.of_seconds(10),
    "How often metrics are gathered for REST.",
    no_effect="workers report by themselves, twice a second",
)
METRICS_REPORTERS: Final = option(
    "metrics.reporters",
    LIST,
    (),
    "Reporters to start; there is prom. Not set: prom in jobmanager and taskmanager, locally only if it has a port.",
)
METRICS_PROMETHEUS_PORT: Final = option(
    "metrics.reporter.prom.port",
    PORTS,
    (9249,),
    "Ports for Prometheus, the first that is free is taken; 0: any. Not set: the first of 9249-9348.",
)
METRICS_PROMETHEUS_FACTORY: Final = optional(
    "metrics.reporter.prom.factory.class", STRING, "Flink's class of the reporter; here it only asks for it."
)
METRICS_PROMETHEUS_FILTER: Final = option(
    "metrics.reporter.prom.filterLabelValueCharacters",
    BOOLEAN,
    True,
    "Values of labels have letters, digits, colons and underscores only; others become underscores.",
)
METRICS_PROMETHEUS_EXCLUDES: Final = option(
    "metrics.reporter.prom.scope.variables.excludes", LIST, (), "Labels that are left out."
)
METRICS_LATENCY_GRANULARITY: Final = option(
    "metrics.latency.granularity",
    choice("single", "operator", "subtask"),
    "operator",
    "What latency is told apart by.",
    no_effect="there are no latency markers; watermarks and busy times tell where records wait",
)
METRICS_LATENCY_HISTORY: Final = option(
    "metrics.latency.history-size",
    POSITIVE,
    128,
    "Latencies remembered.",
    no_effect="there are no latency markers; watermarks and busy times tell where records wait",
)
METRICS_DELIMITER: Final = option(
    "metrics.scope.delimiter",
    STRING,
    ".",
    "Between the parts of a metric's name.",
    no_effect="Prometheus has its own names, made of scopes and labels",
)
METRICS_SCOPE_OPERATOR: Final = option(
    "metrics.scope.operator",
    STRING,
    "<host>.taskmanager.<tm_id>.<job_name>.<operator_name>.<subtask_index>",
    "Names of operators' metrics.",
    no_effect="Prometheus has its own names, made of scopes and labels",
)
METRICS_SCOPE_TASK: Final = option(
    "metrics.scope.task",
    STRING,
    "<host>.taskmanager.<tm_id>.<job_name>.<task_name>.<subtask_index>",
    "Names of tasks' metrics.",
    no_effect="Prometheus has its own names, made of scopes and labels",
)
METRICS_SCOPE_TM: Final = option(
    "metrics.scope.tm",
    STRING,
    "<host>.taskmanager.<tm_id>",
    "Names of TaskManagers' metrics.",
    no_effect="Prometheus has its own names, made of scopes and labels",
)
METRICS_SCOPE_JM: Final = option(
    "metrics.scope.jm",
    STRING,
    "<host>.jobmanager",
    "Names of the JobManager's metrics.",
    no_effect="Prometheus has its own names, made of scopes and labels",
)

ignored(
    "memory is a Python process's here, not a JVM's with its areas",
    "jobmanager.memory.heap.size",
    "jobmanager.memory.off-heap.size",
    "jobmanager.memory.jvm-metaspace.size",
    "jobmanager.memory.jvm-overhead.fraction",
    "jobmanager.memory.jvm-overhead.max",
    "jobmanager.memory.jvm-overhead.min",
    "jobmanager.memory.enable-jvm-direct-memory-limit",
    "taskmanager.memory.framework.heap.size",
    "taskmanager.memory.framework.off-heap.size",
    "taskmanager.memory.framework.off-heap.batch-shuffle.size",
    "taskmanager.memory.jvm-metaspace.size",
    "taskmanager.memory.jvm-overhead.fraction",
    "taskmanager.memory.jvm-overhead.max",
    "taskmanager.memory.jvm-overhead.min",
    "taskmanager.memory.task.heap.size",
    "taskmanager.memory.task.off-heap.size",
    "env.java.opts.all",
    "env.java.opts.jobmanager",
    "env.java.opts.taskmanager",
    "env.java.home",
    "classloader.resolve-order",
    "classloader.check-leaked-classloader",
)
