"""Films: a matplotlib animation from a function that draws one moment, written as .gif or .html."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FILM_DPI = 80


def film(figure: Any, show: Callable[[int], None], length: int, frames: int = 60) -> Any:
    """An animation of `length` moments, of which at most `frames` are shown, evenly spread.

    show: show(i) changes the figure so that it shows moment i, 0…length − 1.
    """
    from matplotlib.animation import FuncAnimation
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    show(0)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout is computed once, and not for every frame
    chosen = np.unique(np.linspace(0, length - 1, min(frames, length)).round().astype(int))
    held = [length - 1] * 10  # the last frame stays for a moment
    return FuncAnimation(figure, show, frames=[*chosen, *held], interval=66, repeat=True)


def save_film(animation: Any, path: str | Path) -> None:
    """Write a .gif, or an .html page that plays the film in any browser, without a network.

    ValueError: a path with another ending.
    """
    path = Path(path)
    if path.suffix == ".gif":
        animation.save(path, writer="pillow", dpi=FILM_DPI)
    elif path.suffix == ".html":
        path.write_text(animation.to_jshtml(default_mode="loop"), encoding="utf-8")
    else:
        raise ValueError(f"path = {str(path)!r}: an animation is written as .gif or .html")
