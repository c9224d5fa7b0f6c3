"""What stands in compose.yaml and helm-values.yaml is what Prefect and neotorch know. Neither Docker nor Helm is run."""

from __future__ import annotations

import re
import shlex
from importlib import resources
from typing import Any

import pytest
import yaml
from prefect.settings import Settings as PrefectSettings
from prefect.settings.legacy import _get_settings_fields
from prefect_redis.client import RedisMessagingSettings

from neotorch.cli import app
from neotorch.orchestration import environment
from neotorch.settings import Settings
from tests.scale.town import compose

SERVICES: dict[str, Any] = compose()["services"]
OURS = [name for name, service in SERVICES.items() if service.get("image") == "neotorch"]


def known() -> set[str]:
    """Every variable that Prefect or neotorch reads."""
    redis = {f"PREFECT_REDIS_MESSAGING_{name.upper()}" for name in RedisMessagingSettings.model_fields}
    return {*_get_settings_fields(PrefectSettings), *redis, "DO_NOT_TRACK"} | {
        f"NEOTORCH_{name.upper()}" for name in Settings.model_fields
    }


def helm() -> dict[str, Any]:
    """The values for both charts."""
    return dict(yaml.safe_load((resources.files("deployments") / "helm-values.yaml").read_text(encoding="utf-8")))


def test_the_services_are_those_of_the_topology() -> None:
    """Two API servers without background services, these by themselves, one migration, three workers, one balancer."""
    commands = {name: SERVICES[name].get("command") for name in OURS}
    assert commands == {
        "migrate": "prefect server database upgrade --yes",
        "api-1": "prefect server start --no-services",
        "api-2": "prefect server start --no-services",
        "services": "prefect server services start",
        **dict.fromkeys(["worker-1", "worker-2", "worker-3"], "neotorch up"),
    }
    assert {"postgres", "redis", "balancer"} == SERVICES.keys() - set(OURS)
    assert "up" in {name for name in app if not name.startswith("-")}


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_one_that_somebody_reads(name: str) -> None:
    """A misspelt variable would be ignored in silence."""
    assert set(SERVICES[name]["environment"]) - known() == set()


@pytest.mark.parametrize("name", ["migrate", "api-1", "api-2", "services"])
def test_the_servers_run_with_the_settings_of_neotorch(name: str) -> None:
    """The settings that `neotorch up` gives to a server of its own stand there with the same values."""
    said = SERVICES[name]["environment"]
    server = {k: v for k, v in (environment.QUIET | environment.LEAN).items() if "_SERVER_" in k or k == "DO_NOT_TRACK"}
    assert {k: said.get(k) for k in server} == server
    assert said == SERVICES["api-1"]["environment"]


def test_workers_share_nothing_but_the_database() -> None:
    """Each worker has a name and a folder of its own: two on one folder would refuse to start."""
    workers = [SERVICES[f"worker-{n}"] for n in (1, 2, 3)]
    for part in ("hostname", "volumes"):
        assert len({str(w[part]) for w in workers}) == 3
    assert len({str(w["environment"]) for w in workers}) == 1


def test_whoever_is_depended_on_is_there() -> None:
    """Names of services, volumes and configurations lead somewhere, and what must be healthy says how to tell."""
    whole = compose()
    for service in SERVICES.values():
        needs = service.get("depends_on", {})
        assert set(needs) <= set(SERVICES)
        for name, how in needs.items() if isinstance(needs, dict) else ():
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[name], name
        assert {c["source"] for c in service.get("configs", [])} <= set(whole["configs"])
        named = {v.partition(":")[0] for v in service.get("volumes", [])}
        assert named <= set(whole["volumes"])


def test_no_password_stands_in_the_files() -> None:
    """Passwords come from the environment or from a secret."""
    for name in ("compose.yaml", "helm-values.yaml"):
        text = (resources.files("deployments") / name).read_text(encoding="utf-8")
        for url in re.findall(r"postgresql\S*://\w[^\s\"]+", text):
            assert re.search(r"://\w+:\$\{\w+[^}]*\}?@|://\w+:\$\{\w+:\?choose$", url), url


def test_the_charts_get_the_same_environment() -> None:
    """helm-values.yaml gives the servers what compose.yaml gives them, but for addresses, which the charts make."""
    charts = helm()
    said = {e["name"]: str(e.get("value", "")) for e in charts["prefect-server"]["global"]["prefect"]["env"]}
    assert set(said) - known() == set()
    own = {"PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_SERVER_API_HOST", "PREFECT_SERVER_API_PORT",
           "PREFECT_SERVER_UI_API_URL", "PREFECT_MESSAGING_BROKER", "PREFECT_MESSAGING_CACHE", "PREFECT_SERVER_LOGGING_LEVEL",
           "PREFECT_REDIS_MESSAGING_HOST", "PREFECT_REDIS_MESSAGING_PORT", "PREFECT_SERVER_DOCKET_URL"}  # fmt: skip
    wanted = {k: v for k, v in SERVICES["api-1"]["environment"].items() if k not in own}
    assert {k: said.get(k) for k in wanted} == wanted
    worker = {e["name"] for e in charts["prefect-worker"]["worker"]["extraEnvVars"]}
    assert worker - known() == set()
    assert set(SERVICES["worker-1"]["environment"]) - worker <= {"PREFECT_API_URL"}


def test_commands_can_be_split() -> None:
    """The test of the whole topology runs these very commands."""
    assert all(shlex.split(SERVICES[name]["command"]) for name in [*OURS, "redis"])
