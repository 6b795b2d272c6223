"""Names of children: as long as Kubernetes allows, and different for what is different."""

import re

from hypothesis import given
from hypothesis import strategies as st

from penstock_operator.render.names import Owner

LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
jobs = st.from_regex(r"[a-z]([-a-z0-9]{0,43}[a-z0-9])?", fullmatch=True)
revisions = st.from_regex(r"r[1-9][0-9]{0,9}-[0-9a-f]{5}", fullmatch=True)


@given(jobs, revisions)
def test_services_have_names_that_fit_into_dns(job: str, revision: str) -> None:
    owner = Owner("default", job, "uid")
    names = {owner.rpc_service(revision), owner.rest_service(revision), owner.token_secret}
    assert len(names) == 3
    assert all(LABEL.fullmatch(name) for name in names)
    assert all(len(value) <= 63 for value in owner.labels(revision, "taskmanager").values())


@given(jobs, revisions, revisions)
def test_revisions_share_nothing(job: str, one: str, other: str) -> None:
    owner = Owner("default", job, "uid")

    def names(revision: str) -> set[str]:
        services = {owner.rpc_service(revision), owner.rest_service(revision)}
        return services | {owner.deployment(revision, "jobmanager"), owner.deployment(revision, "taskmanager")}

    assert one == other or not names(one) & names(other)


def test_a_job_that_is_created_again_has_a_token_of_its_own() -> None:
    assert Owner("default", "a", "1").token_secret != Owner("default", "a", "2").token_secret


def test_the_jobs_id_follows_from_its_name_and_namespace_alone() -> None:
    assert Owner("default", "a", "1").job_id == Owner("default", "a", "2").job_id
    assert Owner("default", "a", "1").job_id != Owner("other", "a", "1").job_id
    assert Owner("default", "word-count", "1").job_id == "4c14171524ae580eb69ef54f0811b036"


def test_selectors_are_among_the_labels() -> None:
    owner = Owner("default", "word-count", "1")
    selector = owner.selector("r1-00000", "taskmanager")
    assert selector.items() <= owner.labels("r1-00000", "taskmanager").items()
    assert not selector.items() <= owner.labels("r2-00000", "taskmanager").items()
    assert set(owner.task_manager_selector.split(",")) <= {f"{key}={value}" for key, value in selector.items()}
