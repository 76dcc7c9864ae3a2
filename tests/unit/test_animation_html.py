"""The HTML films of the demos, opened from disk in a browser, with real input events."""
import base64
import io
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from browser import BROWSER, Browser
from PIL import Image

from tinyddpm.app import plot

sys.path.insert(0, str(Path(__file__).parents[2] / "demos"))
from films import film, save_film

COUNT = 12
STILL = 1.0  # seconds; a film that plays stays at its last frame for 0.7 seconds
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed here")


def dot_that_moves():
    """COUNT pictures of a dot that goes from the left to the right."""
    figure, (ax,) = plot.new_figure(1, 4, 4)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    dot = ax.scatter([0], [0.5], s=400)
    return film(figure, lambda i: dot.set_offsets([[i / (COUNT - 1), 0.5]]), COUNT)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.html"
    save_film(dot_that_moves(), path, "A dot <moves> & stops")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def open_film(browser, url):
    """Open the page and wait until its pictures are decoded."""
    browser.open(url)
    while not browser.run("document.querySelector('output').value"):
        time.sleep(0.05)


@pytest.fixture
def page(browser, url):
    """The page; afterwards it has raised no error, and no request has left it."""
    open_film(browser, url)
    yield browser
    events = [(event["method"], event["params"]) for event in browser.events]
    asked = [values["request"]["url"] for name, values in events
             if name == "Network.requestWillBeSent"]
    assert url in asked and all(one == url or one.startswith("data:") for one in asked), asked
    assert "Runtime.exceptionThrown" not in dict(events)
    assert "error" not in [values["entry"]["level"] for name, values in events
                           if name == "Log.entryAdded"]


def changes(page, within=10.0):
    """Whether the pixels of the film change by themselves, within so many seconds."""
    before, end = page.pixels("canvas"), time.monotonic() + within
    while time.monotonic() < end:
        time.sleep(0.1)
        if (page.pixels("canvas") != before).any():
            return True
    return False


def click(page, name):
    page.click(f"#{name}")


def test_the_film_plays_by_itself_and_stops_when_told(page):
    assert changes(page)
    click(page, "play")
    assert not changes(page, STILL)
    click(page, "play")
    assert changes(page)


def test_the_film_starts_again_after_its_end(page):
    page.run("stop_at(images.length - 1)")
    page.run("play(true)")
    end = time.monotonic() + 10
    while page.run("shown") == COUNT - 1:
        assert time.monotonic() < end
    assert page.run("shown") < COUNT - 1


def test_each_frame_is_shown_as_it_was_drawn(page, url):
    """Step by step forward and back; the slider and the text tell which one it is."""
    html = Path(url.removeprefix("file://")).read_text(encoding="utf-8")
    frames = re.findall(r'"(iVBOR[^"]+)"', html)
    assert len(frames) == COUNT
    page.run("stop_at(0)")
    for step, at in (("forward", 1), ("forward", 2), ("back", 1), ("back", 0), ("back", COUNT - 1)):
        click(page, step)
        with Image.open(io.BytesIO(base64.b64decode(frames[at]))) as image:
            expected = np.asarray(image.convert("RGB")).astype(int)
        shown = page.pixels("canvas")[1:-1, 1:-1]  # without its border
        assert shown.shape == expected.shape and abs(shown - expected).max() <= 2
        assert page.run("document.querySelector('output').value") == f"{at + 1} of {COUNT}"
        assert page.run("Number(document.querySelector('input').value)") == at


def test_the_slider_moves_the_film_and_stops_it(page):
    page.click("input")
    assert 3 < page.run("shown") < COUNT - 3 and not changes(page, STILL)
    at = page.run("shown")
    page.key("ArrowRight")
    assert page.run("shown") == at + 1


def test_no_control_is_blank(page):
    """Each button shows its name in letters that the computer has, and each control has a name."""
    for button in ("play", "back", "forward"):
        inner = page.pixels(f"#{button}")[6:-6, 6:-6]
        is_ink = abs(inner - inner[0, 0]).max(-1) > 100
        assert is_ink.mean() > 0.02, f"{button} is blank"
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    named = [(node["role"]["value"], node["name"]["value"]) for node in nodes if "name" in node]
    controls = [name for role, name in named if role in ("button", "slider")]
    assert controls in (["Pause", "Back", "Forward", "frame"], ["Play", "Back", "Forward", "frame"])
    assert ("heading", "A dot <moves> & stops") in named


def test_who_asks_for_less_motion_presses_play(browser, url):
    browser.send("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    open_film(browser, url)
    assert not changes(browser, STILL)
    click(browser, "play")
    assert changes(browser)
    browser.send("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize("width", [360, 1280])
def test_a_film_page_fits_its_window(browser, url, width):
    browser.open(url, width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_the_page_names_no_server(url):
    html = Path(url.removeprefix("file://")).read_text(encoding="utf-8")
    assert not any(word in html for word in ("http:", "https:", "@import", "url(", "<link"))
