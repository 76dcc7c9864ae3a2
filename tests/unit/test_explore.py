"""The page that `demos/explore.py` writes, in a headless Chromium, with real input events.

What the page shows is compared with the package's own functions.
"""
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import BROWSER, Browser

from tinyddpm import cosine, posterior, toy
from tinyddpm.reverse import score_from_eps, x_0_from_eps

DEMO = Path(__file__).parents[2] / "demos" / "explore.py"
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed here")
SCHEDULE, DATA = cosine(50), toy("moons")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    out = tmp_path_factory.mktemp("explore")
    subprocess.run([sys.executable, DEMO, "--quick", "--out", out], check=True,
                   capture_output=True)
    return (out / "explore.html").as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser, url):
    """The page, wide, for mouse and keys; afterwards it has raised no error and loaded nothing."""
    browser.open(url)
    yield browser
    assert_quiet(browser, url)


@pytest.fixture
def phone(browser, url):
    """The page at a width of 400, for a finger."""
    browser.open(url, width=400, height=800, touch=True)
    yield browser
    assert_quiet(browser, url)


def assert_quiet(browser, url):
    assert not any(event["method"] == "Runtime.exceptionThrown" for event in browser.events)
    logged = [event["params"]["entry"] for event in browser.events
              if event["method"] == "Log.entryAdded"]
    assert not [entry for entry in logged if entry["level"] == "error"]
    requests = [event["params"]["request"]["url"] for event in browser.events
                if event["method"] == "Network.requestWillBeSent"]
    assert requests == [url]


def handle(panel, name):
    return f'#{panel} [data-name="{name}"]'


def x_t_of(page):
    """x_t as the page has it, (1, 2)."""
    return np.array([page.run("noised(state.x_0, state.eps)")])


def test_mouse_and_keys_move_t(page):
    page.drag("#t", 200, 0)
    after_drag = page.run("state.t")
    assert after_drag > 25
    page.key("ArrowLeft")
    assert page.run("state.t") == after_drag - 1
    page.click("#more")
    page.click("#more")
    assert page.run("state.t") == after_drag + 1
    assert page.run("document.getElementById('t-value').value") == f"t = {after_drag + 1} of 50"
    page.run("move_t(1)")
    assert page.run("document.getElementById('less').disabled")


@pytest.mark.parametrize("panel", ["marginal", "posterior", "score", "guess"])
def test_the_mouse_drags_x_t(page, panel):
    before = x_t_of(page)
    scale = page.run(f"document.querySelector('#{panel} .plane').getScreenCTM().a "
                     f"/ frame('{panel}').zoom")
    page.drag(handle(panel, "x_t"), 30, -20)
    assert x_t_of(page) - before == pytest.approx(np.array([[30, 20]]) / scale, abs=1.5 / scale)


def test_x_t_stays_near_its_mean_and_x_0_on_the_data(page):
    page.drag(handle("marginal", "x_t"), 500, 0)
    assert page.run("length(state.eps)") == pytest.approx(2.5)
    page.drag(handle("marginal", "x_0"), 80, 60)
    assert page.run("state.drawn") == 0
    assert page.run("cloud.indexOf(state.x_0)") > 0


def test_keys_move_the_points(page):
    for name in ("x_0", "x_t"):
        page.run(f"document.querySelector('{handle('guess', name)}').focus()")
        position = "state.x_0" if name == "x_0" else "noised(state.x_0, state.eps)"
        before = page.run(position)
        page.key("ArrowRight")
        assert page.run(position)[0] > before[0]


def test_a_finger_moves_t_and_x_t_and_scrolls_elsewhere(phone):
    phone.touch_drag("#t", 60, 0)
    assert phone.run("state.t") > 25
    before = x_t_of(phone)
    phone.touch_drag(handle("guess", "x_t"), 40, 30)
    assert (abs(x_t_of(phone) - before) > 0.2).all()
    phone.tap("#other-eps")
    assert phone.run("state.noise") == 1
    scrolled = phone.run("scrollY")
    phone.touch_drag("#guess h2", 0, -200)
    assert phone.run("scrollY") > scrolled


def test_the_numbers_are_the_package_s(page):
    """At several t: μ̃_t, √β̃_t, x̂_0 and the score, for the x_t of the page."""
    errors = []
    for t in (1, 2, 10, 25, 40, 50):
        page.run(f"move_t({t})")
        page.click("#other-eps")
        x_t, x_0 = x_t_of(page), np.array([page.run("state.x_0")])
        q = posterior(SCHEDULE, x_t, t, x_0)
        shown = page.run("['cx', 'cy', 'r'].map(a => +document.querySelector("
                         "'#posterior circle.step').getAttribute(a))")
        x, y = page.run(f"to_frame('posterior', {q.mean[0].tolist()})")
        radius = 2 * np.sqrt(q.var) / page.run("frame('posterior').zoom")
        assert shown == pytest.approx([x, -y, radius], abs=1e-4)
        eps = DATA.denoiser(SCHEDULE)(x_t, t)
        guess = x_0_from_eps(SCHEDULE, x_t, t, eps)
        errors.append(abs(page.run("guess_at(noised(state.x_0, state.eps))") - guess[0]).max())
        score = page.run(f"score({guess[0].tolist()}, {x_t[0].tolist()})")
        assert score == pytest.approx(score_from_eps(SCHEDULE, x_t, t, eps)[0], rel=1e-6, abs=1e-6)
    assert max(errors) < 0.05  # --quick has a coarse lattice


def test_the_digits_are_drawn(page):
    """At t = 1 the guess is the digit, and x_t shows it; at t = T the guess is a blur."""
    page.run("pixels = name => Array.from(document.querySelector(`#guess [data-image=${name}] "
             "canvas`).getContext('2d').getImageData(0, 0, 28, 28).data)"
             ".filter((_, i) => i % 4 === 0)")
    page.run("move_t(1)")
    x_0, x_t, guess = (np.array(page.run(f"pixels('{name}')")) for name in ("x_0", "x_t", "guess"))
    assert x_0.max() > 250 and abs(guess - x_0).max() <= 1
    assert 0 < abs(x_t - x_0).mean() < 10
    page.run("move_t(50)")
    assert abs(np.array(page.run("pixels('guess')")) - x_0).mean() > 20


def test_the_ledger_shows_its_running_sum(page):
    terms = DATA.optimal_terms(SCHEDULE, "beta")
    running = page.run("points.ledger.beta.running")
    assert running[1:] == pytest.approx(np.cumsum(terms[::-1])[:0:-1])
    text = "panel('ledger').querySelector('.says').innerText"
    assert f"−ELBO = {terms.sum():.2f}" in page.run(text)
    page.click("[value=beta_tilde]")
    assert f"−ELBO = {DATA.optimal_terms(SCHEDULE, 'beta_tilde').sum():.2f}" in page.run(text)
    page.run("move_t(30)")
    assert f"A point: {running[30]:.3g} nats" not in page.run(text)
    page.click("[value=beta]")
    assert f"A point: {running[30]:.3g} nats" in page.run(text)


def test_a_chain_goes_back_step_by_step(page):
    for _ in range(3):
        page.click("#back")
    assert page.run("state.chain_t") == 47
    page.run("document.getElementById('back').focus()")
    page.key("Enter")
    page.key(" ")
    assert page.run("state.chain_t") == 45
    page.run("state.chain_t = 3")
    page.click("#play")
    page.run("new Promise(resolve => setTimeout(resolve, 900))")
    assert page.run("state.chain_t") == 0
    assert page.run("document.getElementById('play').textContent") == "Play"
    assert page.run("document.getElementById('back').disabled")
    assert "This is the sample" in page.run("panel('chain').innerText")
    page.click("#other-chain")
    assert page.run("[state.chain, state.chain_t]") == [1, 50]


def test_every_control_has_a_name_and_the_formulas_are_drawn(page):
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    named = [(node["role"]["value"], node["name"]["value"]) for node in nodes if "name" in node]
    controls = [name for role, name in named if role in ("button", "slider", "radio")]
    images = [name for role, name in named if role in ("image", "img")]
    assert (len(controls), len(images)) == (18, 13)
    assert all(name.strip() for name in controls + images)
    sizes = page.run("Array.from(document.querySelectorAll('math'), "
                     "m => m.getBoundingClientRect().height)")
    assert len(sizes) == 11 and min(sizes) > 15
    assert page.run("document.querySelectorAll('.formula > span').length") == 6


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_fits_its_window(browser, url, width):
    browser.open(url, width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    smallest = browser.run("Math.min(...Array.from(document.querySelectorAll('button'), "
                           "b => b.getBoundingClientRect().height))")
    assert smallest >= 36


def test_light_and_dark(page):
    def brightness(element, property):
        colour = page.run(f"getComputedStyle({element}).{property}")
        return np.mean([float(part) for part in colour.strip("rgb()").split(",")])

    for scheme, is_dark in (("light", False), ("dark", True)):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        page.send("Emulation.setEmulatedMedia", features=[feature])
        paper = brightness("document.body", "backgroundColor")
        ink = brightness("document.body", "color")
        assert abs(paper - ink) > 180 and (paper < ink) == is_dark
    page.send("Emulation.setEmulatedMedia", features=[])


def test_the_page_is_one_small_file(url, page):
    path = Path(url.removeprefix("file://"))
    html = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 1.5e6
    assert "<!-- formula" not in html and "NUMBERS" not in html
    assert not any(word in html for word in ("src=", "@import", "url(", "<link"))
