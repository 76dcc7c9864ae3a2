"""The gallery: every demo once, with its picture and its answer.

    python demos                     # all of them, a quarter of an hour on two cores: writes demos/README.md and demos/gallery
    python demos forward posterior   # these only; the others stay as they are

Each demo runs as a user would run it, in a process of its own, and leaves its files in --out/NAME.
"""
# %%
import argparse
import ast
import json
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

from tinyddpm.app import files
from tinyddpm.app.console import one_sentence_for_mistakes, write_json

HERE = Path(__file__).parent
# In the order of the derivation; a demo of digits takes the denoiser that the first of them has trained.
DEMOS = ("forward", "reparameterise", "posterior", "noise_or_image", "ledger", "surprises", "toys", "few_steps",
         "mnist", "denoise", "interpolate", "inpaint", "rate_distortion", "guidance")
PICTURES = {"toys": ("toys.gif", "toys.png"), "mnist": ("reverse.gif", "progressive.png")}  # of all others NAME.png


def pictures_of(name):
    return PICTURES.get(name, (f"{name}.png",))


def question(name):
    """The first line of a demo's docstring."""
    return ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))).splitlines()[0]


def run(name, out, quick):
    """One demo in its default form: {question, answer, seconds}."""
    shared = ["--run", out / "digits"] if "digit_run" in (HERE / f"{name}.py").read_text(encoding="utf-8") else []
    began = time.monotonic()
    done = subprocess.run([sys.executable, HERE / f"{name}.py", "--out", out / name, *shared, *["--quick"] * quick])
    if done.returncode:
        raise ValueError(f"demo = {name}: it ended with exit code {done.returncode}")
    answer = json.loads((out / name / "report.json").read_text(encoding="utf-8"))["answer"]
    return {"question": question(name), "answer": answer, "seconds": round(time.monotonic() - began)}


def shrink(picture, target, width=1000):
    """A picture for the gallery: `width` pixels wide at the most, 256 colours; a film as it is."""
    if picture.suffix == ".gif":
        return files.replace(target, lambda file: file.write(picture.read_bytes()))
    with Image.open(picture) as image:
        image = image.convert("RGB")
        image.thumbnail((width, 10 * width), Image.Resampling.LANCZOS)
        image = image.quantize(256, dither=Image.Dither.NONE)
        files.replace(target, lambda file: image.save(file, "png", optimize=True))


def page(told):
    """demos/README.md: question, picture, answer, command."""
    parts = ["# The gallery\n\nOne question a demo, one picture, one file that runs alone. Made by `python demos`.\n"]
    for name in [name for name in DEMOS if name in told]:
        demo, pictures = told[name], "\n\n".join(f"![{name}](gallery/{picture})" for picture in pictures_of(name))
        parts.append(f"## {demo['question']}\n\n{pictures}\n\n{demo['answer']}\n\n"
                     f"[`python demos/{name}.py`]({name}.py), {demo['seconds']} s.\n")
    instruments = (f"* [`python demos/{name}.py`]({name}.py): {question(name)}\n" for name in ("benchmark", "judge", "kill_matrix"))
    return "\n".join([*parts, "## Instruments\n", "".join(instruments)])


def main(names, out, into, quick):
    gallery = into / "gallery"
    gallery.mkdir(parents=True, exist_ok=True)
    record = gallery / "answers.json"
    told = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    for name in names:
        print(f"\n{name}", flush=True)
        told[name] = run(name, out, quick)
        for picture in pictures_of(name):
            shrink(out / name / picture, gallery / picture)
        write_json(record, told)
        files.replace(into / "README.md", lambda file: file.write(page(told).encode()))
    size = sum(path.stat().st_size for path in gallery.iterdir())
    print(f"\n{into / 'README.md'}: {len(told)} demos, {size / 1e6:.1f} MB of pictures")


def demo(name):
    """An argparse type: a demo's name."""
    if name not in DEMOS:
        raise argparse.ArgumentTypeError(f"{name!r} is no demo: one of {', '.join(DEMOS)}")
    return name


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python demos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", type=demo, metavar="NAME", help=", ".join(DEMOS))
    parser.add_argument("--out", type=Path, default=Path("demos-out"), metavar="DIR", help="what the demos write (%(default)s)")
    parser.add_argument("--into", type=Path, default=HERE, metavar="DIR", help="where the gallery goes (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="their --quick forms: to see that everything works")
    arguments = parser.parse_args()
    with one_sentence_for_mistakes():
        main(arguments.names or DEMOS, arguments.out, arguments.into, arguments.quick)
