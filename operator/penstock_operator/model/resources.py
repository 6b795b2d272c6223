"""What a process gets, from what its spec asks for: requests, limits, and defaults where nothing is said. Pure."""

from dataclasses import dataclass
from typing import Final, final

from penstock_operator.model.spec import Amounts, FlinkJobSpec, Quantity, Resources
from penstock_operator.model.values import read_bytes, read_millicores

JOB_MANAGER_MILLICORES: Final = 500
JOB_MANAGER_BYTES: Final = 512 << 20
TASK_MANAGER_BYTES: Final = 512 << 20
"""Besides what each slot gets."""
SLOT_MILLICORES: Final = 1_000
SLOT_BYTES: Final = 512 << 20
BYTES_MIN: Final = 64 << 20
"""Less than this holds no Python process of ours; most often it is a unit that was forgotten."""


@final
@dataclass(frozen=True, slots=True)
class Granted:
    """What a process may count on."""

    millicores: int
    memory_bytes: int


def for_job_manager(spec: FlinkJobSpec) -> Granted:
    return _granted(spec.job_manager.resources, Granted(JOB_MANAGER_MILLICORES, JOB_MANAGER_BYTES))


def for_task_manager(spec: FlinkJobSpec) -> Granted:
    slots = spec.task_manager.slots
    default = Granted(slots * SLOT_MILLICORES, TASK_MANAGER_BYTES + slots * SLOT_BYTES)
    return _granted(spec.task_manager.resources, default)


def task_managers(spec: FlinkJobSpec) -> int:
    """How many: as many as are asked for, or as the parallelism takes."""
    if spec.task_manager.replicas is not None:
        return spec.task_manager.replicas
    return -(-spec.job.parallelism // spec.task_manager.slots)


def _granted(resources: Resources, default: Granted) -> Granted:
    cpu = _requested(resources, "cpu")
    memory = _requested(resources, "memory")
    return Granted(
        default.millicores if cpu is None else read_millicores(cpu),
        default.memory_bytes if memory is None else read_bytes(memory),
    )


def _requested(resources: Resources, what: str) -> Quantity | None:
    """The request; the limit where there is none, as Kubernetes has it."""
    asked = _amount(resources.requests, what)
    return _amount(resources.limits, what) if asked is None else asked


def _amount(amounts: Amounts, what: str) -> Quantity | None:
    return amounts.cpu if what == "cpu" else amounts.memory
