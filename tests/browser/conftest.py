"""A real JupyterLab with this extension, and a headless Chromium that looks at it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tools.build_labextension import build

ROOT = Path(__file__).parents[2]
_STOP_TIMEOUT_S = 30.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(300))


@dataclass(slots=True, kw_only=True)
class Lab:
    """A JupyterLab on loopback that can be ended and started again at the same address.

    Its port is 0 until it has listened once.
    """

    folder: Path
    token: str
    with_norman: bool
    port: int = 0
    process: subprocess.Popen[str] | None = None
    reader: threading.Thread | None = None
    output: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start, and return when it listens."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *self._options()],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output = self.process.stdout
        assert output is not None
        for line in output:
            self.output.append(line)
            listens = re.search(r"http://127\.0\.0\.1:(\d+)/lab", line)
            if listens is not None:
                self.port = int(listens[1])
                break
        else:
            pytest.fail("JupyterLab ended at once:\n" + "".join(self.output[-60:]))
        self.reader = threading.Thread(target=self.output.extend, args=(output,), daemon=True)
        self.reader.start()
        # Jupyter says so a moment before it listens: connecting is tried again, ever later.
        transport = httpx.HTTPTransport(retries=8, trust_env=False)
        with httpx.Client(transport=transport, trust_env=False) as client:
            client.get(f"{self.url}api").raise_for_status()

    def stop(self) -> None:
        """End it; twice does no harm."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            if self.reader is not None:
                self.reader.join(_STOP_TIMEOUT_S)
            if process.stdout is not None:
                process.stdout.close()

    def _options(self) -> list[str]:
        return [
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            "--ServerApp.open_browser=False",
            "--ServerApp.allow_root=True",
            f"--ServerApp.root_dir={self.folder / 'notebooks'}",
            f"--ServerApp.jpserver_extensions={{'norman_server': {self.with_norman}}}",
            f"--IdentityProvider.token={self.token}",
            # Nothing that reaches beyond loopback.
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.extension_manager=readonly",
        ]

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("JUPYTER", "JPY_", "NORMAN_", "IPYTHON"))
        }
        return {
            **kept,
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "JUPYTER_DATA_DIR": str(self.folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "IPYTHONDIR": str(self.folder / "ipython"),
        }


@pytest.fixture(scope="session")
def labextension() -> Path:
    """The built extension, of the sources as they are now."""
    build(ROOT)
    return ROOT / "norman_jupyter" / "labextension"


@pytest.fixture
def start_lab(labextension: Path, tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Starts JupyterLabs, and ends them with the test."""
    started: list[Lab] = []

    def start(*, with_norman: bool = True) -> Lab:
        folder = tmp_path / f"lab{len(started)}"
        for name in ("notebooks", "config", "runtime", "data/labextensions"):
            (folder / name).mkdir(parents=True)
        # Found there before anything that this environment may hold.
        (folder / "data/labextensions/norman-jupyter").symlink_to(labextension)
        lab = Lab(folder=folder, token=secrets.token_hex(16), with_norman=with_norman)
        started.append(lab)
        lab.start()
        return lab

    try:
        yield start
    finally:
        for lab in started:
            lab.stop()
            print("".join(lab.output[-80:]))  # shown where the test failed


@pytest.fixture(scope="module")  # Playwright's loop, while it stands, keeps others from running
def chromium() -> Iterator[Browser]:
    """One headless browser for all tests."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("Chromium isn't installed; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture
def faults() -> list[str]:
    """What went wrong inside the page: exceptions that nobody caught."""
    return []


@pytest.fixture
def page(chromium: Browser, faults: list[str], tmp_path: Path) -> Iterator[Page]:
    """A page of its own for each test, without the cookies of another."""
    context = chromium.new_context(viewport={"width": 1200, "height": 800})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    try:
        yield page
    finally:
        page.screenshot(path=tmp_path / "artifacts" / "last.png")
        context.close()


@pytest.fixture
def open_lab(page: Page) -> Callable[..., None]:
    """Opens a JupyterLab in the page, with these settings of its user."""

    def open_in(lab: Lab, theme: str = "JupyterLab Light", poll_interval_s: int = 1) -> None:
        settings = {
            "@jupyterlab/apputils-extension/themes": {"theme": theme},
            "@jupyterlab/apputils-extension/notification": {"fetchNews": "false"},
            "norman-jupyter/plugin": {"pollIntervalS": poll_interval_s},
        }
        for name, values in settings.items():
            path = lab.folder / f"config/lab/user-settings/{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        page.goto(f"{lab.url}lab?token={lab.token}")
        page.locator(".jp-LauncherCard").first.wait_for()

    return open_in
