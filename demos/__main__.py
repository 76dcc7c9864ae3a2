"""The gallery: every demo once, with its picture and its answer.

    python demos                     # all of them, half an hour on two cores
    python demos forward posterior   # these only; the others stay as they are

Writes demos/README.md and demos/gallery.  Each demo runs in a process of its own, as a user would
run it, and leaves its files in --out/NAME.
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
# In the order of the derivation.
DEMOS = ("explore", "forward", "reparameterise", "posterior", "noise_or_image", "bound", "ledger",
         "surprises", "toys", "few_steps", "mnist", "denoise", "interpolate", "inpaint",
         "rate_distortion", "file_size", "guidance", "ladder")
INSTRUMENTS = ("benchmark", "judge", "kill_matrix", "machines")
PICTURES = {"toys": ("toys.gif", "toys.png"), "mnist": ("reverse.gif", "progressive.png")}


def pictures_of(name):
    return PICTURES.get(name, (f"{name}.png",))


def source(name):
    return (HERE / f"{name}.py").read_text(encoding="utf-8")


def question(name):
    """The first line of a demo's docstring."""
    return ast.get_docstring(ast.parse(source(name))).splitlines()[0]


def run(name, out, quick):
    """Run one demo with its defaults: {question, answer, seconds}."""
    command = [sys.executable, HERE / f"{name}.py", "--out", out / name]
    if quick:
        command.append("--quick")
    began = time.monotonic()
    done = subprocess.run(command)
    if done.returncode:
        raise ValueError(f"demo = {name}: it ended with exit code {done.returncode}")
    report = json.loads((out / name / "report.json").read_text(encoding="utf-8"))
    seconds = round(time.monotonic() - began)
    return {"question": question(name), "answer": report["answer"], "seconds": seconds}


def shrink(picture, target, width=1000):
    """A picture for the gallery: at most `width` pixels wide, 256 colours; a film as it is."""
    if picture.suffix == ".gif":
        return files.replace(target, lambda file: file.write(picture.read_bytes()))
    with Image.open(picture) as image:
        image = image.convert("RGB")
        image.thumbnail((width, 10 * width), Image.Resampling.LANCZOS)
        image = image.quantize(256, dither=Image.Dither.NONE)
        files.replace(target, lambda file: image.save(file, "png", optimize=True))


def page(results):
    """demos/README.md: question, picture, answer, command.  results: {name: what `run` returns}."""
    parts = ["# The gallery\n\nOne question, one picture and one script for each demo.  "
             "Written by `python demos`.\n"]
    for name in [name for name in DEMOS if name in results]:
        demo = results[name]
        pictures = "\n\n".join(f"![{name}](gallery/{picture})" for picture in pictures_of(name))
        command = f"[`python demos/{name}.py`]({name}.py), {demo['seconds']} s."
        parts.append(f"## {demo['question']}\n\n{pictures}\n\n{demo['answer']}\n\n{command}\n")
    parts.append("## Instruments\n")
    parts.append("".join(f"* [`python demos/{name}.py`]({name}.py): {question(name)}\n"
                         for name in INSTRUMENTS))
    return "\n".join(parts)


def main(names, out, into, quick):
    gallery = into / "gallery"
    gallery.mkdir(parents=True, exist_ok=True)
    record = gallery / "answers.json"
    results = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    for name in names:
        print(f"\n{name}", flush=True)
        results[name] = run(name, out, quick)
        for picture in pictures_of(name):
            shrink(out / name / picture, gallery / picture)
        write_json(record, results)
        files.replace(into / "README.md", lambda file: file.write(page(results).encode()))
    size = sum(path.stat().st_size for path in gallery.iterdir())
    print(f"\n{into / 'README.md'}: {len(results)} demos, {size / 1e6:.1f} MB of pictures")


def demo(name):
    """An argparse type: a demo's name."""
    if name not in DEMOS:
        raise argparse.ArgumentTypeError(f"{name!r} is no demo: one of {', '.join(DEMOS)}")
    return name


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python demos", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", type=demo, metavar="NAME", help=", ".join(DEMOS))
    parser.add_argument("--out", type=Path, default=Path("demos-out"), metavar="DIR",
                        help="the files that the demos write (%(default)s)")
    parser.add_argument("--into", type=Path, default=HERE, metavar="DIR",
                        help="folder of the gallery (%(default)s)")
    parser.add_argument("--quick", action="store_true",
                        help="run the demos with --quick, to see that everything works")
    arguments = parser.parse_args()
    with one_sentence_for_mistakes():
        main(arguments.names or DEMOS, arguments.out, arguments.into, arguments.quick)
