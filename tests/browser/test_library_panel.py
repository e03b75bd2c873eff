"""The library panel in a real JupyterLab, as a person sees it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from norman_jupyter import BlockingNorman, NormanError

TAB = '.lm-TabBar-tab[data-id="norman-library"]'
THEMES = ["JupyterLab Light", "JupyterLab Dark"]

expect.set_options(timeout=30_000)


def open_panel(page: Page) -> Locator:
    page.locator(TAB).click()
    panel = page.get_by_role("region", name="Norman models")
    expect(panel).to_be_visible()
    return panel


def keep_screenshot(page: Page, folder: Path, name: str) -> None:
    """Keep what the page looks like, for a person to see after the test."""
    target = folder / "artifacts"
    target.mkdir(exist_ok=True)
    page.screenshot(path=target / f"{name}.png")


@pytest.mark.parametrize("theme", THEMES)
def test_server_without_the_extension_says_what_to_do(
    start_lab: Callable[..., Any],
    open_lab: Callable[..., None],
    page: Page,
    faults: list[str],
    tmp_path: Path,
    theme: str,
) -> None:
    open_lab(start_lab(with_norman=False), theme)
    panel = open_panel(page)
    expect(panel.get_by_role("alert")).to_contain_text("Norman is not running here")
    expect(panel).to_contain_text("jupyter server extension enable norman_server")
    keep_screenshot(page, tmp_path, f"absent-{theme}")
    assert faults == []


@pytest.fixture
def upload(tmp_path: Path) -> Callable[..., None]:
    """Uploads a model of a few lines to a JupyterLab's server."""

    def upload_to(lab: Any, name: str, source: str, **options: Any) -> None:
        folder = tmp_path / f"source-{name}"
        folder.mkdir()
        (folder / "model.py").write_text(source)
        with BlockingNorman(lab.url, lab.token) as client:
            client.upload(folder, name=name, trust=True, **options)

    return upload_to


@pytest.mark.parametrize("theme", THEMES)
def test_panel_shows_the_server_and_what_is_uploaded(
    start_lab: Callable[..., Any],
    open_lab: Callable[..., None],
    upload: Callable[..., None],
    page: Page,
    faults: list[str],
    tmp_path: Path,
    theme: str,
) -> None:
    lab = start_lab()
    open_lab(lab, theme)
    panel = open_panel(page)
    server = panel.get_by_role("region", name="Server")
    expect(fact(server, "Executor")).to_have_text("ready")
    expect(fact(server, "Models")).to_have_text("0")
    expect(fact(server, "Server version")).to_have_text(version("norman-jupyter"))
    expect(panel).to_contain_text("%norman upload ./model")
    keep_screenshot(page, tmp_path, f"empty-{theme}")

    upload(lab, "greeter", "def predict(name: str) -> str:\n    return f'Hello {name}'\n")
    with pytest.raises(NormanError):
        upload(lab, "broken", "raise RuntimeError('not today')\n", tags=("<b>bold</b>",))

    greeter = panel.get_by_role("listitem").filter(has_text="greeter")
    expect(greeter).to_have_text("greeterready@1 · python")
    broken = panel.get_by_role("listitem").filter(has_text="broken")
    expect(broken).to_have_text("brokenfailedno active version · python · <b>bold</b>")
    expect(fact(server, "Models")).to_have_text("2")
    expect(fact(server, "Deployments")).to_have_text("1 of 1 ready")
    expect(panel).not_to_contain_text("%norman upload")
    keep_screenshot(page, tmp_path, f"models-{theme}")
    assert faults == []


def test_lost_server_is_told_and_found_again_without_reload(
    start_lab: Callable[..., Any],
    open_lab: Callable[..., None],
    upload: Callable[..., None],
    page: Page,
    tmp_path: Path,
) -> None:
    lab = start_lab()
    open_lab(lab)
    panel = open_panel(page)
    expect(fact(panel, "Executor")).to_have_text("ready")
    upload(lab, "greeter", "def predict(name: str) -> str:\n    return f'Hello {name}'\n")
    greeter = panel.get_by_role("listitem").filter(has_text="greeter")
    expect(greeter).to_be_visible()

    lab.stop()
    expect(panel.get_by_role("alert")).to_contain_text("The server does not answer")
    expect(fact(panel, "Executor")).to_have_text("ready (last known)")
    expect(greeter).to_be_visible()
    keep_screenshot(page, tmp_path, "lost")

    lab.start()
    expect(panel.get_by_role("alert")).to_have_count(0)
    expect(fact(panel, "Executor")).to_have_text("ready")
    expect(greeter).to_be_visible()


def test_server_of_another_version_is_noticed(
    start_lab: Callable[..., Any], open_lab: Callable[..., None], page: Page, tmp_path: Path
) -> None:
    def answer_as_a_newer_one(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "version": "99.0.0", "news": 1})

    page.route("**/norman/api/v1/status*", answer_as_a_newer_one)
    open_lab(start_lab())
    panel = open_panel(page)
    expect(panel.get_by_role("status")).to_contain_text("the server runs 99.0.0")
    keep_screenshot(page, tmp_path, "versions")


def test_panel_is_reached_and_refreshed_by_keyboard(
    start_lab: Callable[..., Any], open_lab: Callable[..., None], page: Page, faults: list[str]
) -> None:
    open_lab(start_lab(), poll_interval_s=3600)
    page.keyboard.press("ControlOrMeta+Shift+C")
    page.keyboard.type("Show Norman Models")
    page.keyboard.press("Enter")
    panel = page.get_by_role("region", name="Norman models")
    expect(fact(panel, "Models")).to_have_text("0")

    refresh = panel.get_by_role("button", name="Refresh the models")
    refresh.focus()
    # Nothing else asks within the hour that the setting names.
    with page.expect_response("**/norman/api/v1/models*") as response:
        page.keyboard.press("Enter")
    assert response.value.ok
    assert faults == []


def fact(region: Locator, name: str) -> Locator:
    """The value that stands beside a name in the list of facts."""
    return region.locator(f'dt:text-is("{name}") + dd')
