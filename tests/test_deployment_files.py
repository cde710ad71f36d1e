"""The files that deploy StreamKit agree with each other, with the defaults in the code, and with what the tests run."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamkit.settings import Settings
from streamkit.settings_loader import VARIABLES

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, Any] = COMPOSE["services"]
STREAMKIT = SERVICES["streamkit"]
NGINX_CONF = (ROOT / "config/nginx-rtmp.conf").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
DOCKERFILES = {"streamkit": ROOT / "Dockerfile", "nginx-rtmp": ROOT / "config/nginx-rtmp.Dockerfile"}
DEFAULTS = Settings()


def instructions(service: str) -> list[tuple[str, str]]:
    """Return (instruction, arguments) of a Dockerfile, continuation lines joined, comments left out."""
    lines = [line for line in DOCKERFILES[service].read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [
        (word, rest) for word, _, rest in (line.strip().partition(" ") for line in joined.splitlines() if line.strip())
    ]


def arguments(service: str, instruction: str) -> list[str]:
    return [rest for word, rest in instructions(service) if word == instruction]


def published_ports() -> list[tuple[str, str]]:
    return [(name, port) for name, service in SERVICES.items() for port in service.get("ports", [])]


def test_compose_sets_every_documented_variable_and_no_other() -> None:
    assert set(STREAMKIT["environment"]) == set(VARIABLES)


def test_compose_values_are_strings_so_that_yaml_does_not_rewrite_them() -> None:
    values = [value for service in SERVICES.values() for value in service.get("environment", {}).values()]
    assert [value for value in values if not isinstance(value, str)] == []


def test_compose_leads_streamkit_to_its_own_services() -> None:
    environment = STREAMKIT["environment"]
    hosts = {environment["DB_HOST"], environment["RTMP_SERVER"], environment["MINIO_ENDPOINT"].split(":")[0]}
    assert hosts == set(SERVICES) - {"streamkit"}


def test_ports_are_the_defaults_everywhere() -> None:
    environment = STREAMKIT["environment"]
    ports = (environment["DB_PORT"], environment["RTMP_PORT"], environment["SERVER_PORT"])
    assert ports == (str(DEFAULTS.database.port), str(DEFAULTS.rtmp.port), str(DEFAULTS.server.port))
    assert environment["MINIO_ENDPOINT"].split(":")[1] == DEFAULTS.storage.endpoint.split(":")[1]
    assert arguments("streamkit", "EXPOSE") == [environment["SERVER_PORT"]]
    assert arguments("nginx-rtmp", "EXPOSE") == [environment["RTMP_PORT"]]


def test_names_that_are_not_secret_are_the_defaults() -> None:
    environment = STREAMKIT["environment"]
    assert environment["MINIO_REGION"] == DEFAULTS.storage.region
    assert environment["MINIO_BUCKET"] == f"${{MINIO_BUCKET:-{DEFAULTS.storage.bucket}}}"
    assert environment["DB_NAME"] == DEFAULTS.database.name == SERVICES["postgres"]["environment"]["POSTGRES_DB"]
    assert environment["DB_USER"] == SERVICES["postgres"]["environment"]["POSTGRES_USER"]


def test_nginx_listens_calls_and_names_the_application_as_streamkit_expects() -> None:
    assert f"listen {DEFAULTS.rtmp.port};" in NGINX_CONF
    assert f"application {DEFAULTS.rtmp.app} {{" in NGINX_CONF
    webhook = f"http://streamkit:{STREAMKIT['environment']['SERVER_PORT']}/events/published;"
    for directive in ("on_publish", "on_publish_done"):
        assert re.search(rf"^\s*{directive} {re.escape(webhook)}", NGINX_CONF, re.MULTILINE), directive


def test_compose_builds_nginx_from_the_configuration_that_the_tests_run() -> None:
    build = SERVICES["nginx-rtmp"]["build"]
    assert (ROOT / build["context"] / build["dockerfile"]).resolve() == DOCKERFILES["nginx-rtmp"]
    source, target = arguments("nginx-rtmp", "COPY")[0].split()
    assert (ROOT / build["context"] / source).resolve() == ROOT / "config/nginx-rtmp.conf"
    assert target in json.loads(arguments("nginx-rtmp", "ENTRYPOINT")[0])


def test_nginx_writes_no_publish_arguments_into_logs() -> None:
    assert NGINX_CONF.count("access_log off;") == 2
    assert re.findall(r"^\s*access_log (?!off)", NGINX_CONF, re.MULTILINE) == []
    assert re.findall(r"^\s*error_log (.*);", NGINX_CONF, re.MULTILINE) == ["stderr warn"]
    assert "notify_method post;" in NGINX_CONF


def test_nginx_lets_nobody_play_or_control_from_outside() -> None:
    assert "deny play all;" in NGINX_CONF
    assert "allow play all;" not in NGINX_CONF
    http = NGINX_CONF.partition("http {")[2]
    for_operators, for_streamkit = (part.partition("\n    }")[0] for part in http.split("    server {")[1:])
    assert re.findall(r"listen (\S+);", for_operators) == ["127.0.0.1:8081"]
    assert "rtmp_control" not in for_streamkit
    assert re.findall(r"(allow|deny) +(\S+);", for_streamkit) == [
        *(("allow", network) for network in ("127.0.0.1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")),
        ("deny", "all"),
    ]


def test_streamkit_asks_nginx_for_its_publishers() -> None:
    environment = SERVICES["streamkit"]["environment"]
    assert environment["RTMP_STATUS_URL"] == "http://nginx-rtmp:8082/stat"
    assert "listen 8082;" in NGINX_CONF


@pytest.mark.parametrize(
    "image",
    [
        *(service["image"] for service in SERVICES.values() if "image" in service),
        *(rest.split()[0] for service in DOCKERFILES for rest in arguments(service, "FROM")),
    ],
)
def test_images_are_pinned_to_a_release(image: str) -> None:
    tag = image.partition(":")[2]
    assert re.match(r"\d+\.\d+|RELEASE\.\d{4}-\d\d-\d\dT", tag), f"{image} moves under us"


def test_nothing_but_rtmp_is_published_beyond_loopback_by_default() -> None:
    open_to_all = [
        (name, port)
        for name, port in published_ports()
        if not re.match(r"127\.0\.0\.1:|\$\{\w+:-127\.0\.0\.1\}:", port)
    ]
    assert open_to_all == [("nginx-rtmp", f"{DEFAULTS.rtmp.port}:{DEFAULTS.rtmp.port}")]


def test_every_password_comes_from_the_environment_and_has_no_default() -> None:
    secrets = {
        f"{name}.{variable}": value
        for name, service in SERVICES.items()
        for variable, value in service.get("environment", {}).items()
        if re.search(r"PASSWORD|SECRET|ACCESS_KEY|ROOT_USER", variable)
    }
    assert len(secrets) == 10
    names = ("ENCRYPTION_SECRET", "TOKEN_SECRET", "WEBHOOK_SECRET", "AUTH_CALLBACK_SECRET")
    optional = {f"streamkit.{name}" for name in names}  # without them nothing is encrypted or asked for
    assert {name for name in secrets if re.fullmatch(r"\$\{\w+:-\}", secrets[name])} == optional
    required = secrets.keys() - optional
    assert [name for name in required if not re.fullmatch(r"\$\{\w+:\?[^}]+\}", secrets[name])] == []


def test_the_example_environment_names_everything_required_and_gives_no_value() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    required = set(re.findall(r"\$\{(\w+):\?", COMPOSE_TEXT))
    optional = set(re.findall(r"\$\{(\w+):-", COMPOSE_TEXT))
    assert {line for line in lines if line and not line.startswith("#")} == {f"{name}=" for name in required}
    assert {line[1:].partition("=")[0] for line in lines if re.match(r"#\w+=", line)} == optional


def test_local_secrets_reach_neither_git_nor_an_image() -> None:
    assert "/.env" in (ROOT / ".gitignore").read_text().splitlines()
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    assert not any("env" in line for line in allowed_into_the_image())


def allowed_into_the_image() -> list[str]:
    return [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]


def test_the_build_context_has_what_the_dockerfile_copies() -> None:
    sources = {word for rest in arguments("streamkit", "COPY") if "--from" not in rest for word in rest.split()[:-1]}
    assert {
        source
        for source in sources
        if not any(Path(allowed).is_relative_to(source) for allowed in allowed_into_the_image())
    } == set()
    assert [source for source in sources if not (ROOT / source).exists()] == []


@pytest.mark.parametrize("service", DOCKERFILES)
def test_images_run_as_somebody_else_than_root_and_report_their_health(service: str) -> None:
    assert arguments(service, "USER")[-1] not in {"root", "0"}
    assert len(arguments(service, "HEALTHCHECK")) == 1
    assert (
        json.loads(arguments(service, "ENTRYPOINT")[0])[0] == {"streamkit": "streamkit", "nginx-rtmp": "nginx"}[service]
    )


def test_the_streamkit_image_serves_by_default_and_asks_its_own_health() -> None:
    assert json.loads(arguments("streamkit", "CMD")[0]) == ["serve"]
    assert "/health" in arguments("streamkit", "HEALTHCHECK")[0]


@pytest.mark.parametrize("service", DOCKERFILES)
def test_containers_of_ours_have_no_capabilities_and_a_read_only_root(service: str) -> None:
    definition = SERVICES[service]
    assert definition["read_only"] is True
    assert definition["cap_drop"] == ["ALL"]
    assert definition["tmpfs"] == ["/tmp"]


@pytest.mark.parametrize("service", SERVICES)
def test_services_gain_no_privileges_and_start_again(service: str) -> None:
    assert SERVICES[service]["security_opt"] == ["no-new-privileges:true"]
    assert SERVICES[service]["restart"] == "unless-stopped"


@pytest.mark.parametrize("service", SERVICES)
def test_services_wait_for_healthy_ones(service: str) -> None:
    for needed, how in SERVICES[service].get("depends_on", {}).items():
        assert how["condition"] == "service_healthy"
        assert "healthcheck" in SERVICES[needed] or arguments(needed, "HEALTHCHECK"), f"{needed} has no health check"


def test_data_is_kept_in_named_volumes() -> None:
    mounts = {name: [mount.split(":") for mount in service.get("volumes", [])] for name, service in SERVICES.items()}
    assert {volume for mount in mounts.values() for volume, _ in mount} == set(COMPOSE["volumes"])
    output_dir = STREAMKIT["environment"]["HLS_OUTPUT_DIR"]
    assert mounts["streamkit"] == [["hls", output_dir]]
    assert f"-o streamkit -g streamkit {output_dir}" in arguments("streamkit", "RUN")[-1], (
        "a new volume has root's owner"
    )


def test_compose_waits_longer_than_an_orderly_stop_takes() -> None:
    assert float(STREAMKIT["stop_grace_period"].removesuffix("s")) > DEFAULTS.server.shutdown_deadline


def test_the_image_and_make_setup_fetch_the_same_hlsjs_to_the_same_place() -> None:
    target = re.search(r"^HLSJS := (.*)$", MAKEFILE, re.MULTILINE)
    assert target is not None
    assert f"python scripts/fetch_hlsjs.py {target[1]}" in arguments("streamkit", "RUN")[0]
    assert "python scripts/fetch_hlsjs.py $@" in MAKEFILE
    versions = re.findall(r'^VERSION = "(1\.6\.\d+)"$', (ROOT / "scripts/fetch_hlsjs.py").read_text(), re.MULTILINE)
    assert len(versions) == 1
    assert [name for name in ("Makefile", "Dockerfile") if versions[0] in (ROOT / name).read_text()] == []


def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no Docker client with the compose plugin")
    environment = tmp_path / "env"
    environment.write_text((ROOT / ".env.example").read_text().replace("=\n", "=something\n"))
    argv = [docker, "compose", "--env-file", environment, "-f", ROOT / "docker-compose.yml", "config", "--quiet"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
