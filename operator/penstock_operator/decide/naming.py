"""Names and ids that a decision gives: the same decision gives the same ones. Pure."""

import hashlib
import uuid
from string import ascii_lowercase

from penstock_operator.decide.facts import JobObject


def revision_name(job: JobObject) -> str:
    """Of the version of the spec that the object has now. That of a FlinkJob that was created again is another one:
    a JobManager takes a journal that names its own revision for its own."""
    return f"r{job.generation}-{_digest(job.uid)[:5]}"


def another_name(name: str) -> str:
    """For another start of a version: what the journal says of a JobManager's own name, it takes for its own past."""
    first, _, last = name.partition("-")
    letter = first[-1]
    return f"{first}b-{last}" if letter.isdigit() or letter == "z" else f"{first[:-1]}{chr(ord(letter) + 1)}-{last}"


def is_of_generation(name: str, job: JobObject) -> bool:
    """Whether it names the version of the spec that the object has now."""
    first, _, last = name.partition("-")
    return f"{first[:1]}{first[1:].rstrip(ascii_lowercase)}-{last}" == revision_name(job)


def job_id(job: JobObject) -> str:
    """The same for all FlinkJobs of this name, so that one that is created again finds its state."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"penstock.dev/{job.namespace}/{job.name}").hex


def fresh_id(random_id: str, purpose: str) -> str:
    """32 hexadecimal digits; another for each purpose of one pass."""
    return _digest(f"{random_id}/{purpose}")[:32]


def savepoint_folder(root: str, job: JobObject, trigger_id: str) -> str:
    """Where one savepoint goes; nothing else is ever written below it."""
    return f"{root.rstrip('/')}/{job.name}-{trigger_id[:16]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
