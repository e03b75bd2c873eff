"""Results in a real notebook, as a person sees them: thumbnails, players, bars, trees."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from norman_jupyter import BlockingNorman

THEMES = ["JupyterLab Light", "JupyterLab Dark"]

MODEL = """
import io, math, struct, wave
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from PIL import Image

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\\"document.title='owned'\\">"

class Answer(TypedDict):
    picture: bytes
    gain: bytes
    large: bytes
    clip: bytes
    drawing: str
    scores: np.ndarray
    batch: np.ndarray
    found: Any
    said: str

def sound(seconds):
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        count = int(8000 * seconds)
        tones = (int(9000 * math.sin(n / 3)) for n in range(count))
        file.writeframes(struct.pack(f"<{count}h", *tones))
    return target.getvalue()

def predict(seconds: float = 70.0) -> Answer:
    rows, columns = np.mgrid[0:900, 0:1200]
    pixels = np.stack([rows * 255 // 900, columns * 255 // 1200, (rows + columns) % 256], -1)
    target = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(target, format="JPEG")
    return {
        "picture": target.getvalue(),
        "gain": sound(1.0),
        "large": sound(seconds),
        "clip": Path(__file__).with_name("clip.webm").read_bytes(),
        "drawing": (
            "<svg xmlns='http://www.w3.org/2000/svg' width='120' height='60' "
            "onload=\\"document.title='owned'\\"><script>parent.document.title='owned'</script>"
            "<rect width='120' height='60' fill='teal'/></svg>"
        ),
        "scores": np.array([0.02, 0.9, 0.08], np.float32),
        "batch": np.arange(600, dtype=np.float32).reshape(30, 20) / 7,
        "found": {HOSTILE: [{"box": [1, 2, 3, 4], "name": HOSTILE, "x": {"y": "z" * 90}}] * 3},
        "said": HOSTILE + " [a link](javascript:document.title='owned')",
    }
"""
CONFIG = {
    "outputs": [
        {
            "display_title": "Mirrored image",
            "data_encoding": "jpeg",
            "receive_format": "File",
            "parameters": [{"parameter_name": "picture", "data_encoding": "jpeg"}],
        },
        *(
            {
                "display_title": name,
                "data_encoding": encoding,
                "receive_format": "File",
                "parameters": [{"parameter_name": name, "data_encoding": encoding}],
            }
            for name, encoding in (("gain", "wav"), ("large", "wav"), ("clip", "webm"))
        ),
        {
            "display_title": "scores",
            "data_encoding": "tensor",
            "receive_format": "Primitive",
            "labels": ["cat", "dog <b>bold</b>", "owl"],
            "parameters": [{"parameter_name": "scores", "data_encoding": "tensor"}],
        },
    ]
}


@pytest.fixture
def run_cells(page: Page) -> Callable[..., list[Locator]]:
    """Opens a notebook of these cells in a JupyterLab, runs it, and gives what they show."""

    def run(lab: Any, cells: Sequence[str]) -> list[Locator]:
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": kernel},
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"cell{index}",
                    "source": source,
                    "metadata": {},
                    "outputs": [],
                    "execution_count": None,
                }
                for index, source in enumerate(cells)
            ],
        }
        (lab.folder / "notebooks/results.ipynb").write_text(json.dumps(notebook))
        page.goto(f"{lab.url}lab/tree/results.ipynb?token={lab.token}")
        # Else JupyterLab asks which kernel to run the cells with.
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator('[data-command="runmenu:run-all"]').click()
        outputs = page.locator(".jp-OutputArea-output")
        expect(outputs).to_have_count(len(cells) - 1)
        return outputs.all()

    return run


LOADED = "media => media.readyState || new Promise(done => media.onloadedmetadata = done)"


def make_clip() -> bytes:
    """Five frames of 64 x 32 pixels that grow lighter."""
    target = io.BytesIO()
    with av.open(target, "w", format="webm") as file:
        stream = file.add_stream("libvpx", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for grey in range(0, 250, 50):
            pixels = np.full((32, 64, 3), grey, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    return target.getvalue()


def shown_size(picture: Locator) -> list[int]:
    """How many pixels the picture that was loaded has."""
    expect(picture).to_have_js_property("complete", True)
    size: list[int] = picture.evaluate("img => [img.naturalWidth, img.naturalHeight]")
    return size


def keep_screenshot(output: Locator, folder: Path, name: str) -> None:
    """Keep what the output looks like, for a person to see after the test."""
    target = folder / "artifacts"
    target.mkdir(exist_ok=True)
    output.screenshot(path=target / f"{name}.png")


@pytest.mark.parametrize("theme", THEMES)
def test_result_of_media_scores_and_json_in_a_notebook(
    start_lab: Callable[..., Any],
    open_lab: Callable[..., None],
    run_cells: Callable[..., list[Locator]],
    page: Page,
    faults: list[str],
    tmp_path: Path,
    theme: str,
) -> None:
    page.set_viewport_size({"width": 1100, "height": 3000})
    lab = start_lab()
    folder = tmp_path / "viewer"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "clip.webm").write_bytes(make_clip())
    open_lab(lab, theme)
    page.locator('.lm-TabBar-tab[data-id="norman-library"]').click()
    panel = page.get_by_role("region", name="Norman models")
    expect(panel.locator('dt:text-is("Executor") + dd')).to_have_text("ready")
    with BlockingNorman(lab.url, lab.token) as client:
        client.upload(folder, name="viewer", trust=True, config=CONFIG)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    # The first call is too large to be recorded, so that nothing leads there.
    calls = ["%norman invoke viewer", "%norman invoke viewer seconds=0.1"]
    outputs = run_cells(lab, ["%load_ext norman_jupyter", *calls])
    large, output = outputs
    expect(large).to_contain_text("Too large to be saved in the notebook")
    expect(large.get_by_role("link")).to_have_count(0)

    expect(output).to_contain_text("viewer@1 · ")
    expect(output).to_contain_text("image/jpeg")
    picture = output.locator("img[alt^='image/jpeg']").first
    assert shown_size(picture) == [320, 240]
    drawing = output.locator("img[alt^='image/svg+xml']")
    assert shown_size(drawing) == [120, 60]
    sound = output.locator("audio").first
    sound.evaluate(LOADED)
    assert sound.evaluate("audio => audio.duration") == pytest.approx(1.0)
    video = output.locator("video")
    video.evaluate(LOADED)
    assert video.evaluate("video => [video.videoWidth, video.videoHeight]") == [64, 32]
    described = "audio/wav, 16.0 kB, 1 s, 8,000 Hz, mono, 16-bit"
    expect(sound).to_have_attribute("aria-label", described)
    scores = output.get_by_role("row", name="dog <b>bold</b> 0.9")
    expect(scores).to_be_visible()
    expect(output.get_by_role("columnheader", name="11", exact=True)).to_be_visible()
    expect(output).to_contain_text("20 more rows, 8 more columns")
    expect(output.locator("script, svg, a[href^='javascript']")).to_have_count(0)
    # The stored output is fetched when it is asked for, not before.
    assert not [url for url in asked if "/output?" in url]
    keep_screenshot(output, tmp_path, f"result-{theme}")
    with page.context.expect_page() as opened:
        output.get_by_role("link", name="open in full size").click()
    assert opened.value.url.endswith("/output?name=Mirrored%20image")
    assert shown_size(opened.value.locator("img")) == [1200, 900]
    opened.value.close()
    assert "owned" not in page.title()
    assert faults == []
