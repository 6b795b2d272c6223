"""What the local world does of its own, without processes."""

from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from penstock_operator.local.deployments import Deployments, Machine
from penstock_operator.local.keeping import KeepingSettings, Room
from penstock_operator.local.objects import SNAPSHOT_FINALIZER, ObjectKey, Objects
from penstock_operator.local.world import LocalWorld


async def test_a_snapshot_without_its_job_says_so_and_can_be_deleted(tmp_path: Path) -> None:
    objects = Objects(tmp_path / "objects", lambda: datetime.now(UTC))
    launcher: Any = None
    machine = Machine(tmp_path / "processes", launcher, Room(1), KeepingSettings(), lambda: 0, Random())
    world = LocalWorld(objects, Deployments(machine, lambda key: None), now_ms=lambda: 0, tell=lambda key, event: None)
    key = ObjectKey("FlinkStateSnapshot", "default", "s")
    objects.apply(key, {"jobReference": {"name": "gone"}, "savepoint": {}}, {})
    world.look_after_orphans()
    stored = objects.get(key)
    assert stored is not None and stored.status["phase"] == "Pending"
    assert "FlinkJob gone, which does not exist" in stored.status["message"]
    objects.set_finalizer(key, SNAPSHOT_FINALIZER, True)
    objects.delete(key)
    world.look_after_orphans()
    assert objects.get(key) is None
    await world.close()
