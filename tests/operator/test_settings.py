"""The operator's own settings: from the environment and the command line, every fault at once."""

import pytest

from penstock_operator.errors import InvalidValue
from penstock_operator.settings import Settings


def test_without_anything_there_are_defaults() -> None:
    assert Settings.load({}, {}) == Settings()


def test_the_command_line_has_the_last_word() -> None:
    environment = {"PENSTOCK_OPERATOR_METRICS_PORT": "1", "PENSTOCK_OPERATOR_LOG_LEVEL": "debug", "PATH": "/bin"}
    found = Settings.load(environment, {"metrics_port": 2, "log_level": None})
    assert (found.metrics_port, found.log_level) == (2, "debug")


def test_texts_become_what_fields_are() -> None:
    environment = {
        "PENSTOCK_OPERATOR_NAMESPACES": "a, b,",
        "PENSTOCK_OPERATOR_HEALTH_PORT": "81",
        "PENSTOCK_OPERATOR_STEADY_INTERVAL_S": "2.5",
        "POD_NAME": "operator-1",
        "POD_NAMESPACE": "ops",
    }
    found = Settings.load(environment, {})
    assert (found.namespaces, found.health_port, found.steady_interval_s) == (("a", "b"), 81, 2.5)
    assert (found.identity, found.lease_namespace) == ("operator-1", "ops")


def test_every_fault_is_told_at_once() -> None:
    environment = {
        "PENSTOCK_OPERATOR_METRICS_PORT": "70000",
        "PENSTOCK_OPERATOR_LOG_FORMAT": "yaml",
        "PENSTOCK_OPERATOR_METRIC_PORT": "1",
    }
    with pytest.raises(InvalidValue) as refused:
        Settings.load(environment, {"namespaces": ("Not_A_Name",)})
    for part in ("METRICS_PORT", "'70000'", "LOG_FORMAT", "'yaml'", "METRIC_PORT is no setting", "NAMESPACES"):
        assert part in str(refused.value)
