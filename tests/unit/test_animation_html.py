"""The HTML players, opened from disk in a browser without a network."""
import re
import shutil
import subprocess

import numpy as np
import pytest

from tinyddpm.app import plot

BROWSER = next(filter(shutil.which, ("chromium", "chromium-browser", "google-chrome")), None)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed here")
def test_a_player_shows_its_film(tmp_path):
    """Its script runs: the frame that is to be seen is one that the script has put there."""
    path = np.random.default_rng(0).standard_normal((4, 30, 2))
    plot.save_animation(plot.animate_points(path), tmp_path / "film.html")
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}",
         "--virtual-time-budget=2000", "--dump-dom", (tmp_path / "film.html").as_uri()],
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and 'src="data:image' not in (tmp_path / "film.html").read_text()
    shown = re.search(r'<img[^>]*src="data:image/png;base64,([^"]+)"', done.stdout)
    assert shown and len(shown[1]) > 1000
