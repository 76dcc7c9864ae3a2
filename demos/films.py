"""Films: pictures from a function that draws one moment, written as .gif or .html."""
import base64
import html
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PAGE = Path(__file__).with_name("film_page.html")  # its layout and its JavaScript
FILM_DPI = 80
INTERVAL, PAUSE_AT_END = 66, 726  # milliseconds that a frame stays, and the last frame


def film(figure: Any, show: Callable[[int], None], length: int, frames: int = 60) -> list[bytes]:
    """PNG files of `length` moments, of which at most `frames` are shown, evenly spread.

    show: show(i) changes the figure so that it shows moment i, 0…length − 1.
    """
    show(0)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout is computed once, and not for every frame
    pictures = []
    for i in np.unique(np.linspace(0, length - 1, min(frames, length)).round().astype(int)):
        show(i)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=FILM_DPI)
        pictures.append(file.getvalue())
    return pictures


def save_film(pictures: list[bytes], path: str | Path, title: str = "") -> None:
    """Write a .gif, or an .html page that plays the film in any browser, without a network.

    title: the page's heading; it names what the film shows.
    ValueError: a path with another ending.
    """
    path = Path(path)
    if path.suffix == ".gif":
        from PIL import Image

        images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
        durations = [INTERVAL] * (len(images) - 1) + [PAUSE_AT_END]
        images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0)
    elif path.suffix == ".html":
        path.write_text(_page(pictures, title or path.stem), encoding="utf-8")
    else:
        raise ValueError(f"path = {str(path)!r}: a film is written as .gif or .html")


def _page(pictures: list[bytes], title: str) -> str:
    frames = [base64.b64encode(picture).decode() for picture in pictures]
    page = PAGE.read_text(encoding="utf-8").replace("TITLE", html.escape(title))
    page = page.replace("INTERVAL", str(INTERVAL)).replace("PAUSE", str(PAUSE_AT_END))
    return page.replace("FRAMES", json.dumps(frames))
