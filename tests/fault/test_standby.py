"""A job goes from one revision's JobManager to the next one's, whatever dies meanwhile: the output is exact."""

import signal
from pathlib import Path

import pytest

from penstock.rest.client import RestRefused
from penstock.testing.by_hand import ClusterByHand
from penstock.testing.revisions import Revision


def test_a_job_goes_from_one_revision_to_the_next_by_a_savepoint(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path) as cluster:
        old, new = Revision(cluster, "rev-1"), Revision(cluster, "rev-2")
        olds = old.up()
        assert old.wait_prepared()["preflight"] == {"status": "COMPATIBLE", "against": None, "findings": []}
        first = old.start("empty")
        old.wait_completed(1)
        news = new.up()
        prepared = new.wait_prepared()
        assert prepared["slots"] == {"required": 2, "registered": 2}
        assert "/chk-" in prepared["preflight"]["against"]
        savepoint = old.stop_with_savepoint()
        assert old.wait_state("ENDED")["startId"] == first
        assert new.rest.preflight(savepoint)["outcome"] == "compatible"
        second = new.start("savepoint", savepoint)
        assert new.start("savepoint", savepoint, start_id=second) == second
        with pytest.raises(RestRefused) as refused:
            new.start("savepoint", savepoint)
        assert refused.value.status == 409
        new.wait_completed(1)
        for running in olds:
            running.signal(signal.SIGTERM)
        assert new.wait_state("STARTED")["startId"] == second
        new.finish(*news)
