"""The HTML films of the demos, opened from disk in a browser without a network."""
import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import BROWSER

from tinyddpm.app import plot

sys.path.insert(0, str(Path(__file__).parents[2] / "demos"))
from films import film, save_film


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed here")
def test_a_page_shows_its_film(tmp_path):
    """Its script runs: the frame that the browser shows is one that the script has inserted."""
    figure, (ax,) = plot.new_figure(1, 4, 4)
    dots = ax.scatter([0, 1], [0, 1])
    animation = film(figure, lambda i: dots.set_offsets([[0, i / 3], [1, 1]]), 4)
    save_film(animation, tmp_path / "film.html")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
               "--disable-background-networking", "--disable-component-update", "--disable-sync",
               f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000",
               "--dump-dom"]
    done = subprocess.run([BROWSER, *options, (tmp_path / "film.html").as_uri()],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert 'src="data:image' not in (tmp_path / "film.html").read_text()
    shown = re.search(r'<img[^>]*src="data:image/png;base64,([^"]+)"', done.stdout)
    assert shown and len(shown[1]) > 1000
