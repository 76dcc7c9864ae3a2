"""Read a folder of pictures, by Pillow."""
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..gaussian import Array
from .readers import LARGEST, read_file

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def read_pictures(folder: Path) -> Array:
    """The pictures in a folder and in its subfolders, by name: uint8 (N, H, W) or (N, H, W, 3).

    ValueError: no picture, pictures that differ in size or colours, or one that is damaged.
    """
    images: list[Array] = []
    paths = sorted(path for path in [*folder.glob("*"), *folder.glob("*/*")]
                   if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    for path in paths:
        images.append(read_file(path, _read_picture, "a picture"))
        if images[-1].shape != images[0].shape:
            raise ValueError(f"data = {str(folder)!r} has {paths[0].name} of shape "
                             f"{images[0].shape} and {path.name} of {images[-1].shape}: make all "
                             f"alike, Image.open(path).convert('RGB').resize((64, 64)).save(path)")
        if images[0].size * len(images) > LARGEST:
            raise ValueError(f"data = {str(folder)!r} has pictures of more than {LARGEST} bytes: "
                             f"make them fewer or smaller")
    if not images:
        raise ValueError(f"data = {str(folder)!r} is a folder without pictures "
                         f"({', '.join(SUFFIXES)}) and without MNIST's idx files: give another")
    return np.stack(images)


def _read_picture(file: BinaryIO) -> Array:
    """Of an open picture: grey, (H, W), or red, green and blue, (H, W, 3), turned upright."""
    from PIL import Image, ImageOps  # here, because `import tinyddpm` need not wait for it

    image = Image.open(file, formats=("PNG", "JPEG", "BMP", "WEBP"))
    if 3 * image.width * image.height > LARGEST:
        raise ValueError(f"its {image.width} × {image.height} pixels are too many: make it smaller")
    if image.mode not in ("L", "RGB"):
        convert = "convert('L')" if image.mode in ("1", "LA") else "convert('RGB')"
        if image.mode.startswith("I"):  # 16 bits
            convert = "point(lambda level: level * (1 / 257)).convert('L')"
        raise ValueError(f"its mode is {image.mode}, not L or RGB: make all alike, "
                         f"Image.open(path).{convert}.save(path)")
    return np.asarray(ImageOps.exif_transpose(image))
