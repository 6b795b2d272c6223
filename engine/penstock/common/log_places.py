"""Where processes keep their logs, by the configuration."""

import re
from pathlib import Path
from typing import Final

from penstock.base.log_files import LogPlace
from penstock.common.configuration import Configuration
from penstock.common.options import cluster
from penstock.common.options import penstock as own

_STEM_MAX: Final = 200


def jobmanager_logs(configuration: Configuration, job: str) -> LogPlace | None:
    """A JobManager's files, which its successor goes on with; None: there are none."""
    return _place(configuration, configuration.get(cluster.WEB_LOG), f"jobmanager-{job}")


def taskmanager_logs(configuration: Configuration, taskmanager: str) -> LogPlace | None:
    """A TaskManager's files, which its workers write too; None: there are none."""
    return _place(configuration, configuration.get(cluster.TM_LOG), f"taskmanager-{taskmanager}")


def _place(configuration: Configuration, file: str | None, name: str) -> LogPlace | None:
    folder = configuration.get(own.LOG_FOLDER)
    if not folder and not file:
        return None
    stem = re.sub(r"[^\w.-]", "_", name)[:_STEM_MAX]
    return LogPlace(
        log=Path(file) if file else Path(folder or ".") / f"penstock-{stem}.log",
        kept_max=configuration.get(own.LOG_FILES_KEPT),
        bytes_max=configuration.get(own.LOG_FILE_BYTES),
    )
