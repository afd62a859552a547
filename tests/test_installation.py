"""What an installation is made of: pins, package data, the container and the service name what is really there."""

from __future__ import annotations

import ast
import configparser
import plistlib
import re
import shlex
import subprocess
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bot.__main__ import _parser
from bot.ops.settings import Settings

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
VARIABLES = {name.upper() for name in Settings.model_fields}
ONLY_IN_A_CONTAINER = {
    "PYTHONUNBUFFERED",
    "PIP_NO_CACHE_DIR",
    "PIP_DISABLE_PIP_VERSION_CHECK",
    "NVIDIA_DRIVER_CAPABILITIES",
    "HF_HOME",
    "XDG_CACHE_HOME",
}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def wanted() -> list[Requirement]:
    extras = PROJECT["project"]["optional-dependencies"]
    return [Requirement(text) for text in [*PROJECT["project"]["dependencies"], *chain(*extras.values())]]


def test_everything_that_is_wanted_is_pinned_to_a_version_that_fits() -> None:
    for requirement in wanted():
        pinned = pins().get(canonicalize_name(requirement.name))
        assert pinned is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(pinned, prereleases=True), f"{requirement} does not allow {pinned}"


@pytest.mark.parametrize(("system", "wanted"), [("win32", True), ("darwin", True), ("linux", False)])
def test_certificates_of_the_system_are_used_where_python_has_none(system: str, wanted: bool) -> None:
    dependencies = map(Requirement, PROJECT["project"]["dependencies"])
    markers = [each.marker for each in dependencies if each.name == "truststore"]
    assert any(marker is None or marker.evaluate({"sys_platform": system}) for marker in markers) == wanted


def test_indirect_dependencies_are_pinned_too() -> None:
    seen, todo = set(), wanted()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen or name.startswith(("nvidia-", "cuda-", "triton")):
            continue  # PyTorch itself pins what it needs of CUDA
        seen.add((name, frozenset(requirement.extras)))
        assert name in pins(), f"{name} is not in constraints.txt"
        try:
            brought = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:
            continue  # of an extra that is not installed here
        extras = requirement.extras or {""}
        todo += [
            each for each in brought if each.marker is None or any(each.marker.evaluate({"extra": e}) for e in extras)
        ]


def test_every_file_of_the_packages_is_installed_with_them() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "bot", "inference", "storage"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    data = PROJECT["tool"]["setuptools"]["package-data"]
    installed = {
        path
        for package, patterns in data.items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    for name in tracked.stdout.splitlines():
        assert name.endswith(".py") or ROOT / name in installed, f"{name} is in no package-data of pyproject.toml"


def test_git_gives_every_text_file_the_line_ends_of_linux_on_every_system() -> None:
    """Git for Windows makes CRLF of them otherwise, which golden files and scripts in the container cannot have."""
    listed = subprocess.run(["git", "ls-files", "--eol"], cwd=ROOT, capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        facts, _, path = line.partition("\t")
        index, _, *attributes = facts.split()
        assert "crlf" not in index and "mixed" not in index, f"{path} was committed with CRLF"
        assert "attr/-text" in attributes or "eol=lf" in attributes, f".gitattributes does not name {path}"


def test_every_folder_with_code_is_a_package() -> None:
    for folder in ("bot", "inference", "storage"):
        for module in (ROOT / folder).rglob("*.py"):
            if module.parent.name != "versions":  # migrations, which alembic reads as files
                assert (module.parent / "__init__.py").exists(), f"{module.parent} has no __init__.py"


# The container


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, with continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE).replace(
        "\\\n", " "
    )
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in text.splitlines() if line]


def environment() -> dict[str, str]:
    settings = chain(*(shlex.split(rest) for name, rest in instructions() if name == "ENV"))
    return dict(setting.split("=", 1) for setting in settings)


def test_the_container_is_made_of_files_that_are_there_and_not_ignored() -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    }
    copied: set[str] = set()
    for name, rest in instructions():
        if name == "COPY":
            copied |= set(rest.split()[:-1])
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    packages = {name.rstrip("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages | {"README.md", "LICENSE", "pyproject.toml", "constraints.txt"} == copied


def test_the_container_sets_what_the_bot_reads() -> None:
    assert set(environment()) <= VARIABLES | ONLY_IN_A_CONTAINER
    settings = Settings(_env_file=None, **{name.lower(): value for name, value in environment().items()})
    assert settings.database_url.startswith("sqlite:////data/") and settings.anima_models == Path("/models")


def test_the_container_runs_as_nobody_special_and_asks_for_its_own_health() -> None:
    found = dict(instructions())
    assert found["USER"] == "anima"
    assert f"127.0.0.1:{environment()['HEALTH_PORT']}/healthz" in found["HEALTHCHECK"]
    arguments = yaml.safe_load(found["ENTRYPOINT"])[1:] + yaml.safe_load(found["CMD"])
    assert _parser().parse_args(arguments).command.__name__ == "_run"
    for kind in (name for name, _ in instructions()):
        assert kind in {"FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "HEALTHCHECK", "ENTRYPOINT", "CMD"}


@pytest.fixture
def service() -> dict[str, Any]:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert set(compose) == {"services", "volumes"}
    service: dict[str, Any] = compose["services"]["anima"]
    named = {volume.split(":")[0] for volume in service["volumes"]}
    assert named == set(compose["volumes"])
    return service


def test_compose_sets_what_the_bot_reads_over_what_the_image_has(service: dict[str, Any]) -> None:
    assert set(service["environment"]) <= VARIABLES
    assert service["environment"] == {name: environment()[name] for name in service["environment"]}
    assert service["env_file"] == ".env"
    assert {volume.split(":")[1] for volume in service["volumes"]} == {"/data", "/models"}


def test_compose_hands_the_gpu_in_and_starts_it_again(service: dict[str, Any]) -> None:
    [device] = service["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert service["restart"] == "unless-stopped"


# The service


def test_the_systemd_unit_starts_the_bot_and_waits_as_long_as_compose_for_its_end(service: dict[str, Any]) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(ROOT / "docs" / "anima-bot.service")
    own = unit["Service"]
    program, *arguments = own["ExecStart"].split()
    assert program.endswith("/.venv/bin/anima")
    assert _parser().parse_args(arguments).command.__name__ == "_run"
    name, value = own["Environment"].split("=")
    Settings(_env_file=None, **{name.lower(): value})
    assert name in VARIABLES
    assert own["TimeoutStopSec"] + "s" == service["stop_grace_period"]
    assert own["Restart"] == "on-failure" and own["KillMode"] == "mixed"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0", "systemd never gives up"


def operating_lines(program: str) -> list[str]:
    page = (ROOT / "docs" / "operating.md").read_text("utf-8")
    return re.findall(rf"^ {{4}}({program} .+)$", page, re.MULTILINE)


def test_launchd_starts_the_bot_and_waits_as_long_as_systemd_for_its_end(service: dict[str, Any]) -> None:
    with (ROOT / "docs" / "anima-bot.plist").open("rb") as file:
        agent = plistlib.load(file)
    program, *arguments = agent["ProgramArguments"]
    assert program == f"{agent['WorkingDirectory']}/.venv/bin/anima"
    assert _parser().parse_args(arguments).command.__name__ == "_run"
    assert agent["StandardErrorPath"].startswith(agent["WorkingDirectory"])
    assert agent["KeepAlive"] == {"SuccessfulExit": False} and agent["RunAtLoad"]
    assert f"{agent['ExitTimeOut']}s" == service["stop_grace_period"]
    assert {agent["Label"]} == {
        re.split("[/ ]", line)[-1] for line in operating_lines("launchctl") if "bootout" in line
    }


def test_nssm_starts_the_bot_and_waits_as_long_as_systemd_for_its_end(service: dict[str, Any]) -> None:
    install, *settings, start = [line.split(maxsplit=3)[1:] for line in operating_lines("nssm")]
    assert (install[0], start) == ("install", ["start", install[1]])
    program, *arguments = install[2].split()
    assert program.endswith("\\.venv\\Scripts\\python.exe") and arguments[:2] == ["-m", "bot"]
    assert _parser().parse_args(arguments[2:]).command.__name__ == "_run"
    values = dict(rest.split(maxsplit=1) for _, _, rest in settings)
    assert program.startswith(values["AppDirectory"] + "\\")
    assert values["AppStderr"].startswith(values["AppDirectory"]) and int(values["AppRestartDelay"]) >= 1000
    assert float(values["AppStopMethodConsole"]) / 1000 == float(service["stop_grace_period"].removesuffix("s"))


# The release


def test_the_newest_release_of_the_changelog_is_this_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased" and headings[1] == PROJECT["project"]["version"]


def test_pre_commit_runs_the_pinned_ruff() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    [revision] = [each["rev"] for each in repositories if each["repo"].endswith("/ruff-pre-commit")]
    assert revision == f"v{pins()['ruff']}"


# Continuous integration


def test_the_workflow_leaves_out_tests_by_markers_that_exist() -> None:
    registered = {marker.split(":")[0] for marker in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    left_out = [set(re.findall(r"not (\w+)", step)) for step in steps if " -m " in step and "pytest" in step]
    assert left_out and all({"browser", "soak", "postgres"} <= markers <= registered for markers in left_out)
    assert ".ci/run" in steps


def workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    return found


def test_the_workflow_tests_and_draws_an_image_on_each_system() -> None:
    job = workflow()["jobs"]["quick"]
    systems = {name.partition("-")[0] for name in job["strategy"]["matrix"]["os"]}
    assert systems == {"ubuntu", "windows", "macos"}
    commands = "\n".join(step.get("run", "") for step in job["steps"])
    assert "python run.py --install" in commands and 'python run.py sandbox --prompt "' in commands
    assert " -m pytest " in commands and "ls pictures/*.png" in commands


def test_the_workflow_installs_with_uv_as_the_readme_says() -> None:
    job = workflow()["jobs"]["uv"]
    line = next(step["run"] for step in job["steps"] if "uv tool install" in step.get("run", ""))
    readme = (ROOT / "README.md").read_text("utf-8")
    for system in job["strategy"]["matrix"]["include"]:
        filled = line.replace("${{ matrix.backend }}", system["backend"]).replace(
            "${{ matrix.package }}", system["package"]
        )
        words = shlex.split(filled)
        assert any(shlex.split(shown) == words for shown in readme.splitlines() if "uv tool install" in shown), words


def test_the_workflow_checks_types_and_wheels_for_the_other_systems() -> None:
    commands = "\n".join(step.get("run", "") for step in workflow()["jobs"]["other-systems"]["steps"])
    assert ".ci/resolve" in commands and "--platform win32" in commands and "--platform darwin" in commands


def test_every_wheel_is_looked_for_on_each_system_and_with_each_extra() -> None:
    script = ast.parse((ROOT / ".ci" / "resolve").read_text("utf-8"))
    names: dict[str, Any] = {}
    for node in script.body:
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name):
            with suppress(ValueError):  # not a literal
                names[target.id] = ast.literal_eval(node.value)
    assert list(names["SYSTEMS"]) == ["Linux", "Windows", "macOS"]
    assert {*names["EXTRAS"], "fuzz"} == set(PROJECT["project"]["optional-dependencies"])
