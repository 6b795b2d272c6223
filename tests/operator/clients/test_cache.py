"""What the cache takes for news, and what it must never lose or keep."""

from typing import Any

from penstock_operator.clients.cache import Cache, Owner, owner_of
from penstock_operator.clients.resources import DEPLOYMENTS, FLINK_JOBS, PODS, REVISIONS, SNAPSHOTS
from penstock_operator.render.names import JOB_LABEL

OWNER = Owner("ns", "j")


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def job(version: int, uid: str = "u1") -> dict[str, Any]:
    metadata = {"namespace": "ns", "name": "j", "uid": uid, "resourceVersion": str(version), "managedFields": [1]}
    return {"metadata": metadata, "spec": {"at": version}}


def pod(version: int, name: str = "p", uid: str = "pu") -> dict[str, Any]:
    labels = {JOB_LABEL: "j"}
    metadata = {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"metadata": metadata}


def seen_job(cache: Cache) -> int:
    body = cache.job(OWNER)
    assert body is not None
    return int(body["metadata"]["resourceVersion"])


def test_the_echo_of_our_own_write_is_no_news() -> None:
    cache = Cache(clock=Clock())
    assert cache.watched_job(job(1))
    assert cache.read_job(job(5))
    assert not cache.watched_job(job(5))
    assert cache.watched_job(job(6))


def test_an_older_version_never_replaces_a_newer_one() -> None:
    cache = Cache(clock=Clock())
    cache.watched_job(job(10))
    assert not cache.watched_job(job(9))
    assert not cache.read_job(job(9))
    assert seen_job(cache) == 10


def test_versions_are_compared_as_numbers() -> None:
    cache = Cache(clock=Clock())
    cache.watched_job(job(9))
    assert cache.watched_job(job(10))


def test_a_job_that_was_created_again_is_another_one() -> None:
    cache = Cache(clock=Clock())
    cache.watched_job(job(9))
    assert cache.watched_job(job(3, uid="u2"))
    cache.forget_job(OWNER, "u1")
    assert seen_job(cache) == 3
    cache.forget_job(OWNER, "u2")
    assert cache.job(OWNER) is None


def test_a_watch_that_does_not_deliver_what_we_wrote_is_behind() -> None:
    clock = Clock()
    cache = Cache(clock=clock)
    cache.watched_job(job(1))
    assert cache.behind_s() == 0
    cache.read_job(job(2))
    clock.now_s = 60
    cache.read_job(job(3))
    clock.now_s = 130
    assert cache.behind_s() == 130
    cache.watched_job(job(2))
    assert cache.behind_s() == 130
    cache.watched_job(job(3))
    assert cache.behind_s() == 0


def test_what_goes_is_dropped_and_what_took_its_name_stays() -> None:
    cache = Cache(clock=Clock())
    cache.put(PODS, OWNER, pod(1))
    cache.put(PODS, OWNER, pod(2, uid="other"))
    cache.drop(PODS, OWNER, pod(1))
    assert [body["metadata"]["uid"] for body in cache.belongings(OWNER, PODS)] == ["other"]


def test_what_we_told_to_go_counts_as_going_until_it_has_gone() -> None:
    cache = Cache(clock=Clock())
    cache.put(PODS, OWNER, pod(1))
    assert not cache.being_removed(OWNER, pod(1))
    cache.removing(OWNER, pod(1))
    assert cache.being_removed(OWNER, pod(1))
    cache.drop(PODS, OWNER, pod(1))
    assert not cache.being_removed(OWNER, pod(1, uid="pu"))


def test_every_change_of_what_belongs_to_a_job_gives_another_stand() -> None:
    cache = Cache(clock=Clock())
    stands = [cache.stand(OWNER)]
    for change in (
        lambda: cache.put(PODS, OWNER, pod(1)),
        lambda: cache.put(PODS, OWNER, pod(2)),
        lambda: cache.drop(PODS, OWNER, pod(2)),
        lambda: cache.put(PODS, OWNER, pod(2)),
    ):
        change()
        stands.append(cache.stand(OWNER))
    assert len(set(stands)) >= 4
    before = cache.stand(OWNER)
    assert not cache.put(PODS, OWNER, pod(2))
    assert cache.stand(OWNER) == before


def test_what_takes_most_of_the_room_is_not_kept() -> None:
    cache = Cache(clock=Clock())
    cache.watched_job(job(1))
    body = cache.job(OWNER)
    assert body is not None
    assert "managedFields" not in body["metadata"]


def test_owners_are_found_by_label_and_by_reference() -> None:
    assert owner_of(FLINK_JOBS, job(1)) == OWNER
    assert owner_of(PODS, pod(1)) == OWNER
    assert owner_of(REVISIONS, {"metadata": {"namespace": "ns", "name": "r"}}) is None
    snapshot = {"metadata": {"namespace": "ns", "name": "s"}, "spec": {"jobReference": {"name": "j"}}}
    assert owner_of(SNAPSHOTS, snapshot) == OWNER
    assert owner_of(SNAPSHOTS, {"metadata": {"namespace": "ns", "name": "s"}}) is None


def test_what_was_lost_in_a_gap_of_the_watch_is_told_once() -> None:
    cache = Cache(clock=Clock())
    cache.put(PODS, OWNER, pod(1))
    assert cache.known(PODS, None) == [(OWNER, pod(1))]
    assert cache.known(PODS, "elsewhere") == []
    assert cache.lost(PODS, OWNER, pod(1))
    assert not cache.lost(PODS, OWNER, pod(1))


def test_all_of_what_is_rarely_read_can_still_be_had() -> None:
    cache = Cache(clock=Clock())
    deployment = pod(1, "d")
    deployment |= {"spec": {"replicas": 2, "template": {"spec": {}}}, "status": {"conditions": [], "replicas": 2}}
    cache.put(DEPLOYMENTS, OWNER, deployment)
    (head,) = cache.belongings(OWNER, DEPLOYMENTS)
    assert head["spec"] == {"replicas": 2}
    assert cache.whole(OWNER, DEPLOYMENTS, "d") == deployment
    assert cache.whole(OWNER, DEPLOYMENTS, "e") is None


def test_of_a_pod_is_kept_how_it_is() -> None:
    cache = Cache(clock=Clock())
    running = {"name": "main", "ready": True, "restartCount": 1, "containerID": "containerd://7"}
    told = {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [running], "hostIP": "10.0.0.2"}
    cache.put(PODS, OWNER, {**pod(1), "spec": {"containers": []}, "status": told})
    (head,) = cache.belongings(OWNER, PODS)
    assert "spec" not in head
    assert head["status"]["podIP"] == "10.0.0.1"
    assert head["status"]["containerStatuses"] == [{"name": "main", "ready": True, "restartCount": 1}]
