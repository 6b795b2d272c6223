"""Answers where there is nothing to ask about here: what Flink's cluster of one job says where it is switched off."""

from typing import Any, final

import msgspec

from penstock.rest.asking import Answerer, Asked, Cluster, Refused


def switched_off(why: str) -> Answerer:
    """404, as for a path that is not served, and why it is not."""

    def answer(cluster: Cluster, asked: Asked) -> Any:
        raise Refused(404, f"Not found: {why}")

    return answer


def gone(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/yarn-cancel and yarn-stop: what changes something is no GET."""
    cluster.job(asked)
    raise Refused(410, "there is no YARN here: PATCH /jobs/:jobid?mode=cancel cancels, POST /jobs/:jobid/stop stops")


def datasets(cluster: Cluster, asked: Asked) -> Any:
    """GET /datasets: no job of ours leaves intermediate results behind."""
    return {"dataSets": []}


def delete_dataset(cluster: Cluster, asked: Asked) -> Any:
    """DELETE /datasets/:datasetid"""
    raise Refused(404, f"data set {asked.hexadecimal('datasetid', 'data set')} not found: there are none")


def dataset_deletion(cluster: Cluster, asked: Asked) -> Any:
    """GET /datasets/delete/:triggerid"""
    raise Refused(404, f"operation {asked.hexadecimal('triggerid', 'trigger')} not found")


@final
class _SerializedValue(msgspec.Struct):
    byteArray: list[int]


@final
class _CoordinationRequest(msgspec.Struct):
    serializedCoordinationRequest: _SerializedValue


def coordination(cluster: Cluster, asked: Asked) -> Any:
    """POST /jobs/:jobid/coordinators/:operatorUid: requests are Java objects, which no coordinator of ours takes."""
    master = cluster.job(asked)
    asked.read(_CoordinationRequest)
    raise Refused(404, f"no coordinator of operator {asked.path['operatorUid']} of job {master.job} takes requests")


def log_url(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/jobmanager/log-url and .../taskmanagers/:taskmanagerid/log-url: below this REST's own address"""
    cluster.job(asked)
    if "taskmanagerid" in asked.path:
        return {"url": f"/taskmanagers/{cluster.taskmanager(asked).id}/log"}
    return {"url": "/jobmanager/log"}
