"""The trained denoiser of digits that comes with the package.

It was made by the two lines in the docstring of `write`.  The file holds what sampling and the
ledger need: the settings, the average of the weights (EMA) in float16, and the histograms of grey
levels.  The training cannot be continued from it.
"""
import json
from pathlib import Path
from typing import Any

import numpy as np

from .. import training
from ..images import pixels
from . import files, readers
from .digits import mnist
from .folder import load
from .model import Run, make_network
from .settings import SCHEDULES

DIGITS = Path(__file__).with_name("trained_digits.npz")


def digits() -> Run:
    """The trained run on digits; its held-out data are those of `mnist`.

    ValueError: the file is damaged.
    """
    def read(file: Any) -> dict[str, Any]:
        return readers.read_npz(file, lambda names: ["settings", "step", "ema", "share", "levels"])

    stored = readers.read_file(DIGITS, read, "the trained denoiser of digits")
    settings = json.loads(str(stored["settings"]))
    schedule = SCHEDULES[settings["schedule"]](settings["T"])
    table = pixels.Table((stored["share"], stored["levels"]), schedule)
    ema = stored["ema"].astype(np.float32)
    state = training.State(int(stored["step"]), ema, ema, np.zeros_like(ema), np.zeros_like(ema))
    return Run(settings, schedule, make_network(settings, schedule, table), state, mnist().held_out,
               table)


def write(folder: Path | str, path: Path = DIGITS) -> None:
    """Write a finished run on digits as the denoiser that comes with the package.

        python -m tinyddpm train --data mnist --steps 20000 --out digits-run
        python -c "from tinyddpm.app import shipped; shipped.write('digits-run')"
    """
    run, _ = load(folder)
    histograms = run.table.histograms._asdict()
    files.replace(path, lambda file: np.savez_compressed(
        file, settings=np.array(json.dumps(run.settings)), step=run.state.step,
        ema=run.state.ema.astype(np.float16), **histograms))
