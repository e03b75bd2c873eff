"""The library panel in a real JupyterLab, as a person sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

TAB = '.lm-TabBar-tab[data-id="norman-library"]'
THEMES = ["JupyterLab Light", "JupyterLab Dark"]


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
