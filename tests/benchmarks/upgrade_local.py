"""Downtime of an upgrade by savepoint on this machine: `penstock-operator local`, real processes, state in files."""

import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final

from tests.benchmarks.measurement import Measured
from tests.benchmarks.upgraded import spec_of, told, upgrade

from penstock.storage import S3Settings, open_store
from penstock.testing.local_stage import LocalStage

TARGET_S: Final = 3.0


def measure() -> list[Measured]:
    with tempfile.TemporaryDirectory() as directory, LocalStage(Path(directory)) as stage:
        reports = Path(directory) / "reports"
        reports.mkdir()
        upgrades = upgrade(
            stage,
            lambda version: spec_of(stage.manifest(), version, str(reports)),
            reports,
            lambda address: open_store(address, S3Settings()),
            lambda reason: _events(stage, reason),
        )
    downtime, note = told(upgrades)
    return [Measured("upgrade_local", downtime, TARGET_S, "s without records", "less", note)]


def _events(stage: LocalStage, reason: str) -> list[float]:
    lines = map(json.loads, (stage.state / "events.jsonl").read_text().splitlines())
    return [datetime.fromisoformat(line["time"]).timestamp() for line in lines if line["reason"] == reason]


if __name__ == "__main__":
    for row in measure():
        print(row)
