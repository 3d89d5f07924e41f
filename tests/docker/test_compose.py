"""What has to stay true of docker/, checked without an engine, which most machines that run this have not."""

from __future__ import annotations

import itertools
import re
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest brings it
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
GPU: dict[str, Any] = yaml.safe_load((DOCKER / "compose.gpu.yaml").read_text())
STUDIO, LABELER = COMPOSE["services"]["label-studio"], COMPOSE["services"]["labeler"]
SECRETS = ("LABEL_STUDIO_USERNAME", "LABEL_STUDIO_PASSWORD", "LABEL_STUDIO_USER_TOKEN")


def instructions(stage: str = "") -> list[tuple[str, str]]:
    """(word, rest) of each instruction, or of those of `AS stage`; continued lines joined."""
    lines = (line for line in (DOCKER / "Dockerfile").read_text().splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line]
    starts = [i for i, (word, _) in enumerate(found) if word == "FROM"] + [len(found)]
    stages = {found[a][1].split(" AS ")[1]: found[a:b] for a, b in itertools.pairwise(starts)}
    return [(word, rest) for word, rest in (stages[stage] if stage else found)]


def of_stage(stage: str, word: str) -> list[str]:
    return [rest for one, rest in instructions(stage) if one == word]


def variables() -> dict[str, str]:
    """Names in docker/.env.example with their values."""
    lines = (DOCKER / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_each_image_has_a_version() -> None:
    images = [service["image"] for service in COMPOSE["services"].values()]
    tags = [image.partition(":")[2] for image in images]
    assert all(tags)
    assert "latest" not in tags
    assert STUDIO["image"] == "heartexlabs/label-studio:1.23.2"


def test_base_images_have_a_version_and_no_registry() -> None:
    stages = {rest.split(" AS ")[1] for word, rest in instructions() if word == "FROM"}
    bases = {rest.split(" AS ")[0] for word, rest in instructions() if word == "FROM"} - stages
    assert bases == {"python:${PYTHON_VERSION}-slim-bookworm"}


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_targets_run_what_runtime_says(target: str) -> None:
    assert of_stage(target, "FROM") == [f"runtime AS {target}"]
    assert of_stage(target, "COPY") == [f"--from=venv-{target} /opt/venv /opt/venv"]
    assert not {"USER", "ENTRYPOINT", "CMD", "HEALTHCHECK"} & {word for word, _ in instructions(target)}


def test_the_server_is_not_root_and_owns_its_folders() -> None:
    (user,) = of_stage("runtime", "USER")
    uid, gid = user.split(":")
    assert int(uid) > 0
    assert int(gid) > 0
    made = " ".join(of_stage("runtime", "RUN"))
    assert f"--uid {uid}" in made
    assert "--owner=labeler --group=labeler /data /cache" in made
    mounts = {volume.split(":")[1] for volume in LABELER["volumes"]}
    assert mounts == {"/data", "/cache"}
    settings = dict(re.findall(r"(LABELER_\w+)=(\S+)", " ".join(of_stage("runtime", "ENV"))))
    assert settings == {"LABELER_DATA_DIR": "/data", "LABELER_CACHE_DIR": "/cache"}
    assert of_stage("runtime", "VOLUME") == ['["/data", "/cache"]']


def test_the_image_serves_on_all_addresses_and_says_how_it_is() -> None:
    assert of_stage("runtime", "ENTRYPOINT") == ['["labeler"]']
    assert of_stage("runtime", "CMD") == ['["serve", "--host", "0.0.0.0"]']
    assert of_stage("runtime", "EXPOSE") == ["9090"]
    (check,) = of_stage("runtime", "HEALTHCHECK")
    assert "/health" in check
    compile(yaml.safe_load(check[check.index("[") :])[2], "HEALTHCHECK", "exec")


def test_only_the_cpu_build_hears_of_the_extra_index() -> None:
    assert of_stage("venv-cpu", "ARG") == ['PIP_EXTRA_INDEX_URL=""']
    assert of_stage("venv-cuda", "ARG") == []
    assert LABELER["build"]["args"] == {"PIP_EXTRA_INDEX_URL": "${PIP_EXTRA_INDEX_URL:-}"}


def test_the_context_holds_what_the_wheel_is_built_from() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {"pyproject.toml", "constraints.txt", project["project"]["readme"]}
    wanted |= {*project["project"]["license-files"]}
    wanted |= {*project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    assert let_in == wanted
    assert all((ROOT / name).exists() for name in let_in)


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_have_no_default(name: str) -> None:
    pattern = rf"\$\{{{name}:\?{name} is not set: [^}}]+\.\}}"
    assert re.fullmatch(pattern, STUDIO["environment"][name])
    assert variables()[name] == ""


def test_the_backend_takes_the_same_token() -> None:
    assert LABELER["environment"]["LABEL_STUDIO_API_KEY"] == STUDIO["environment"]["LABEL_STUDIO_USER_TOKEN"]
    assert STUDIO["environment"]["LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN"] == "true"


def test_each_variable_is_in_the_example_and_each_of_the_example_is_used() -> None:
    text = (DOCKER / "compose.yaml").read_text() + (DOCKER / "compose.gpu.yaml").read_text()
    used = set(re.findall(r"\$\{(\w+)", text))
    assert used == set(variables()) - {"COMPOSE_PROFILES"}  # which compose reads itself
    assert (DOCKER / ".gitignore").read_text().split() == [".env"]


@pytest.mark.parametrize(
    ("address", "banned"),
    [
        pytest.param("172.18.0.3", False, id="a container"),
        pytest.param("192.168.16.2", False, id="a container of a later network"),
        pytest.param("10.0.3.4", False, id="a host of the own network"),
        pytest.param("127.0.0.1", True, id="loopback"),
        pytest.param("::1", True, id="loopback, v6"),
        pytest.param("169.254.169.254", True, id="metadata of a cloud"),
        pytest.param("fd00:ec2::254", True, id="metadata of a cloud, v6"),
        pytest.param("::ffff:169.254.169.254", True, id="metadata, v4 in v6"),
        pytest.param("0.0.0.0", True, id="this host"),
    ],
)
def test_label_studio_may_reach_containers_and_nothing_worse(address: str, banned: bool) -> None:
    """As core/utils/io.py of Label Studio 1.23 decides with these two settings."""
    settings = STUDIO["environment"]
    assert settings["LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS"] == "false"
    assert not {"LABEL_STUDIO_ML_BLOCK_LOCAL_IP", "LABEL_STUDIO_SSRF_PROTECTION_ENABLED"} & settings.keys()
    subnets = settings["LABEL_STUDIO_USER_ADDITIONAL_BANNED_SUBNETS"].split(",")
    assert any(ip_address(address) in ip_network(subnet) for subnet in subnets) is banned


def test_the_score_column_is_switched_on() -> None:
    assert STUDIO["environment"]["ff_front_dev_1682_model_version_dropdown_070622_short"] == "true"


def test_the_backend_has_a_name_that_label_studio_takes_for_a_host() -> None:
    """Its webhooks are URLField: a host without a dot is none, and no webhook is made, silently."""
    (alias,) = LABELER["networks"]["default"]["aliases"]
    assert re.fullmatch(r"[a-z-]+\.[a-z]{2,}", alias)
    assert f"http://{alias}:9090" in (ROOT / "docs" / "docker.md").read_text()


def test_the_backend_finds_label_studio_under_its_service_name() -> None:
    assert LABELER["environment"]["LABEL_STUDIO_URL"] == "http://label-studio:8080"
    assert LABELER["depends_on"] == {"label-studio": {"condition": "service_healthy"}}
    assert "/health" in STUDIO["healthcheck"]["test"][-1]


def test_only_this_machine_reaches_the_ports() -> None:
    ports = [*STUDIO["ports"], *LABELER["ports"]]
    assert all(port.startswith("${BIND_ADDRESS:-127.0.0.1}:") for port in ports)
    assert "ports" not in COMPOSE["services"]["redis"]


def test_what_is_named_is_declared() -> None:
    services = COMPOSE["services"].values()
    volumes = {volume.split(":")[0] for service in services for volume in service["volumes"]}
    assert volumes == set(COMPOSE["volumes"])
    assert [name for name, one in COMPOSE["services"].items() if "profiles" in one] == ["redis"]


def test_the_gpu_file_changes_target_and_device_alone() -> None:
    labeler = GPU["services"]["labeler"]
    assert set(GPU["services"]) == {"labeler"}
    assert labeler["build"] == {"target": "cuda"}
    assert labeler["image"] != LABELER["image"]
    (device,) = labeler["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


@pytest.mark.parametrize("name", [name for name in LABELER["environment"] if name.startswith("LABELER_")])
def test_the_backend_knows_its_settings(name: str) -> None:
    from labeler_backend.settings import ServerSettings

    planned = {"redis_url"}  # for replicas; read by nothing yet, as compose.yaml says
    assert name.removeprefix("LABELER_").lower() in {*ServerSettings.model_fields} | planned
