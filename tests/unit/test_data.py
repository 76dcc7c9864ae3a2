"""Your own data: what is read, refused in one sentence, or doubted; and what is held out."""
import gzip
import io
import re
import warnings

import numpy as np
import pytest
from fuzz import idx
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import one_sentence
from PIL import Image

from tinyddpm import mnist, toys
from tinyddpm.app import data, readers
from tinyddpm.app import run as runs
from tinyddpm.app.command_line import main
from tinyddpm.app.datasets import from_array, open_data
from tinyddpm.app.doubts import FEW_LEVELS, REPEATS, doubts
from tinyddpm.images.augment import random_shift

# Shifted images


@pytest.mark.parametrize("max_shift, share", [(1, 0.5), (2, 1), (3, 0)])
def test_a_random_shift_moves_an_image_as_a_whole(max_shift, share):
    """Each image is at one of (2·max_shift + 1)² places, black elsewhere; `share` are shifted."""
    N, H, W, width = 400, 9, 8, 2 * max_shift
    shifts = [(i, j) for i in range(-max_shift, max_shift + 1)
              for j in range(-max_shift, max_shift + 1)]
    images = np.random.default_rng(0).integers(1, 256, (N, H, W), np.uint8)
    shifted = random_shift(images, np.random.default_rng(1), max_shift, share)
    assert shifted.shape == images.shape and shifted.dtype == np.uint8
    seen = []
    for before, after in zip(images, shifted, strict=True):
        padded = np.pad(before, width)
        for i, j in shifts:
            if np.array_equal(after, padded[width - i:width - i + H, width - j:width - j + W]):
                seen.append((i, j))
    assert len(seen) == N and (share < 1 or set(seen) == set(shifts))
    expected = share * (1 - 1 / len(shifts))
    six_standard_errors = 6 * np.sqrt(expected * (1 - expected) / N)
    assert abs(np.mean([shift != (0, 0) for shift in seen]) - expected) <= six_standard_errors


# What load reads and refuses


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


POINTS = np.array([[0.5, -1.25], [3.0, 1e-3], [7.0, 2.0]])
IMAGES = np.arange(5 * 3 * 2, dtype=np.uint8).reshape(5, 3, 2)
LABELS = np.arange(5, dtype=np.uint8)


@pytest.mark.parametrize("name, content, expected", [
    ("a.npy", npy(POINTS), POINTS), ("a.NPY", npy(POINTS), POINTS),
    ("a.npz", npz(anything=POINTS), POINTS), ("a.npz", npz(data=POINTS, labels=LABELS), POINTS),
    ("a.npz", npz(x=POINTS, y=LABELS), POINTS),
    ("a.npz", npz(images=IMAGES, labels=LABELS), IMAGES),
    ("a.npz", npz(x=np.asfortranarray(POINTS)), POINTS),
    ("a.npy", npy(IMAGES), IMAGES), ("a.npy", npy(IMAGES[..., None]), IMAGES[..., None]),
    ("a.npy", npy(np.asfortranarray(POINTS)), POINTS),
    ("a.npy", npy(POINTS.astype(">f4")), POINTS.astype("f4")),
    ("a.npy", npy(np.int8([[1], [-2]])), [[1], [-2]]),
    ("a.csv", b"0.5,-1.25\n3,1e-3\n7,2\n", POINTS),
    ("a.csv", b"\xef\xbb\xbfx,y\r\n0.5, -1.25\r\n3,1e-3\r\n\r\n7,2", POINTS),
    ("a.csv", b"\xef\xbb\xbf0.5,-1.25\r3,1e-3\r \t\r7,2\r", POINTS),
    ("a.csv", b"\n\n0.5,-1.25\n\n3,1e-3\n7 , 2\n\n\n", POINTS),
    ("a.csv", b"1\n2\n", [[1], [2]]), ("a.csv", b"x\n1\n2", [[1], [2]]),
    ("a.npz", npz(X=POINTS, y=LABELS), POINTS),
    ("a.npz", npz(y_train=LABELS, x_train=IMAGES, x_test=IMAGES[:2], y_test=LABELS), IMAGES),
    ("a.tsv", b"x\ty\n0.5\t-1.25\n3\t1e-3\n7\t2\n", POINTS),
    ("a.csv", b"\xef\xbb\xbfx;y\r\n0,5;-1,25\r\n3;0,001\r\n7;2\r\n", POINTS),  # Excel, German
    ("a.csv", b"0,5;-1,25\n3;0,001\n7;2\n", POINTS),
    ("a.csv", "Länge;y\n0,5;-1,25\n3;0,001\n7;2\n".encode("cp1252"), POINTS),
    ("a.txt", "Länge\ty\r\n0,5\t-1,25\r\n3\t0,001\r\n7\t2".encode("utf-16"), POINTS),
    ("a.csv", b'"x","y"\n"0.5",-1.25\n"3","1e-3"\n7,"2"\n', POINTS),
    ("a.csv", b',0,1\n0,0.5,-1.25\n1,3,1e-3\n2,7,2\n', np.column_stack([range(3), POINTS])),
    ("a.csv", b"5.0e-01 -1.25e+00\n3.0e+00 1.0e-03\n7.0e+00 2.0e+00\n", POINTS),  # np.savetxt
    ("a.txt", b"# x y\n 0.5   -1.25\n   3 1e-3\n   7   2\n", POINTS),
    ("a.txt", b"# x,y\n0.5,-1.25\n3,1e-3\n7,2\n", POINTS),
    ("a.csv", b"body mass\n1\n2\n", [[1], [2]]),
    ("a.npy", npy(POINTS[:1]), POINTS[:1]), ("a.npy", npy(IMAGES[:1]), IMAGES[:1]),
    ("images.idx3-ubyte", idx(IMAGES), IMAGES), ("i-ubyte.gz", gzip.compress(idx(IMAGES)), IMAGES),
])
def test_load(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    loaded = data.load(tmp_path / name)
    assert np.array_equal(loaded, expected)
    assert np.array_equal(data.load(str(tmp_path / name)), expected)
    assert loaded.dtype == (np.uint8 if loaded.ndim > 2 else np.float64) and loaded.dtype.isnative
    assert loaded.flags.writeable


def with_row_1(value):
    return np.where(np.arange(3)[:, None] == 1, value, POINTS)


# NumPy warns when it casts this NaN to float64
SIGNALLING = np.array([[0, 0], [0x7FA00000, 0], [0, 0]], ">u4").view(">f4")


@pytest.mark.parametrize("name, content, mention", [
    ("a.npy", npy(with_row_1(np.nan)), "row 1"), ("a.npy", npy(with_row_1(-np.inf)), "row 1"),
    ("a.npy", npy(SIGNALLING), "row 1"),
    ("a.npy", npy(with_row_1(np.longdouble("1e600"))), "row 1"),
    ("a.csv", b"1,2\n3,nan\n", "row 1"), ("a.csv", b"nan,nan\n1,2\n3,4\n", "row 0"),
    ("a.npy", npy(POINTS[:0]), "(0, 2)"), ("a.npy", npy(POINTS[:, :0]), "(3, 0)"),
    ("a.npy", npy(POINTS[0]), "(2,)"), ("a.npy", npy(np.float64(3)), "()"),
    ("a.npy", npy(IMAGES[None, ..., None]), "(1, 5, 3, 2, 1)"),
    ("a.npy", npy(IMAGES / 255), "float64"), ("a.npy", npy(IMAGES.astype(int)), "int"),
    ("a.npy", npy(POINTS + 0j), "complex"), ("a.npy", npy(POINTS > 0), "bool"),
    ("a.npy", npy(np.array([["a", "b"]] * 3)), "<U1"),
    ("a.npy", npy(POINTS).replace(b"(3, 2), }        ", b"(987654321012,2)}"), ""),
    ("a.npy", npy(POINTS.astype(object)), "Object arrays"),
    ("a.npz", npz(data=POINTS.astype(object)), "Object arrays"),
    ("a.npy", b"", ""), ("a.npz", b"", ""), ("a.csv", b"", "(0, 1)"), ("a.csv", b"x,y\n", "(0, 1)"),
    ("a.npy", b"no array at all", "magic"), ("a.npz", b"no archive at all", "zip"),
    ("a.npz", npz(), "nothing"), ("a.npy", npz(x=POINTS), "magic"),
    ("a.npy", npy(POINTS)[:-1], "47 bytes"), ("a.npy", npy(POINTS)[:40], ""),
    ("a.npz", npz(x=POINTS)[:-9], ""),
    ("a.npz", npz(a=POINTS, b=POINTS), "it holds a, b,"),
    ("a.npz", npz(x=POINTS, data=POINTS), "it holds x, data,"),
    ("a.csv", b"x,y\n1,2\n3,oops\n", "line 3: could not convert string 'oops'"),
    ("a.csv", b"1,2\n\n\n3\n", "line 4: the number of columns changed from 2 to 1"),
    ("a.csv", b"1,2\n3,\n", "line 2: could not convert string ''"),
    ("a.csv", b"1,2\nx,y\n", "line 2: could not convert string 'x'"),
    ("a.csv", b"1,oops\n3,4\n", "line 1: "), ("a.csv", b"# 1\n2 # 3\n", "line 1: "),
    ("a.csv", b"\xff\xfe\x00\x01", "(0, 1)"), ("a.csv", b"1,2\n3,4\xff\n", "line 2: "),
    ("a.csv", b'"1,5","2"\n3,4\n', "write numbers as 1234.5"),
    ("a.csv", b"1.234,5;2\n3;4\n", "line 1: could not convert string '1.234.5'"),
    ("a.csv", b"1.234,5;2.345,6\n3;4\n", "line 1: could not convert string '1.234.5'"),
    ("a.csv", b"2024-01-01\n2024-01-02\n", "line 1: could not convert"),
    ("a.csv", b"n,x\na,1\nb,2\n", "line 2: could not convert string 'a' to float64: write"),
    ("a.csv", b"x\n1,57\n2,33\n", "line 1 has 1 names and the next line 2 cells"),
    ("a.txt", b'"x" "y"\n"1" 0.5 2\n"2" 0.5 2\n', "name every column"),  # R's write.table
    ("a.xlsx", b"PK", "np.save"), ("a", b"1,2\n3,4\n", ".csv"), ("a.png", b"", "one picture"),
    ("labels.idx1-ubyte", idx(LABELS), "holds labels"),
])
def test_load_refuses(tmp_path, name, content, mention):
    (tmp_path / name).write_bytes(content)
    with warnings.catch_warnings(), pytest.raises(ValueError) as error:
        warnings.simplefilter("error")
        data.load(tmp_path / name)
    one_sentence(error, tmp_path / name, mention)


def test_a_csv_of_several_megabytes(tmp_path):
    """No line is lost, and a mistake is reported with the number of its line."""
    path, points = tmp_path / "a.csv", np.random.default_rng(0).normal(size=(100_000, 3))
    lines = [",".join(map(repr, row)) for row in points.tolist()]
    path.write_text("\n".join(["x,y,z", *lines[:50_000], "", *lines[50_000:]]))
    assert path.stat().st_size > 5 * 2 ** 20 and np.array_equal(data.load(path), points)
    for mistake, mention in (("1,2,x", "line 90002: could not convert string 'x'"),
                             ("1,2", "line 90002: the number of columns changed from 3 to 2"),
                             ("9" * 2 ** 21, "line 90002: ")):
        path.write_text("\n".join(["x,y,z", *lines[:90_000], mistake, *lines[90_000:]]))
        with pytest.raises(ValueError) as error:
            data.load(path)
        one_sentence(error, path, mention)


def test_a_file_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "LARGEST", 80)
    path = tmp_path / "a.csv"
    path.write_bytes(b"1,2\n" * 10)
    with pytest.raises(ValueError) as error:
        data.load(path)
    one_sentence(error, path, "line 6: ", "80 bytes")
    path.write_bytes(b"1,2\n" * 21)
    with pytest.raises(ValueError) as error:
        data.load(path)
    one_sentence(error, path, "larger than 80 bytes")


def test_load_refuses_what_is_no_file(tmp_path):
    (tmp_path / "folder.npy").mkdir()
    for name in ("none.npy", "none.csv", "folder.npy"):
        with pytest.raises(ValueError) as error:
            data.load(tmp_path / name)
        one_sentence(error, tmp_path / name)


def test_load_never_unpickles(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path / "sprung").touch, ()

    np.save(tmp_path / "trap.npy", np.array([Trap(), Trap()], object), allow_pickle=True)
    with pytest.raises(ValueError):
        data.load(tmp_path / "trap.npy")
    assert not (tmp_path / "sprung").exists()


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([npy(POINTS), npz(x=POINTS)]))
def test_no_part_of_a_data_file_passes_for_it(tmp_path_factory, draw, whole):
    path = tmp_path_factory.getbasetemp() / ("part.npy" if whole[:1] == b"\x93" else "part.npz")
    path.write_bytes(whole[:draw.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ValueError) as error:
        data.load(path)
    one_sentence(error, path)


# Columns

TABLE = b"date,x,y,y\n2024-01-01,0.5,-1.25,1\n2024-01-02,3,1e-3,1\n2024-01-03,7,2,1\n"


@pytest.mark.parametrize("content, columns, expected, names", [
    (TABLE, ["x"], POINTS[:, :1], ["x"]), (TABLE, ["2", "x"], POINTS[:, ::-1], ["y", "x"]),
    (b"0.5,9,-1.25\n3,9,1e-3\n7,9,2\n", ["0", "2"], POINTS, ["0", "2"]),
    (b'n,x,y\n"a;b",0.5,-1.25\n"c;d",3,1e-3\n"e",7,2\n', ["x", "y"], POINTS, ["x", "y"]),
    (b",0,1\n0,0.5,-1.25\n1,3,1e-3\n2,7,2\n", ["1", "2"], POINTS, ["1", "2"]),
    (b"0.5,-1.25\n3,1e-3\n7,2\n", ["x", "y"], POINTS, ["x", "y"]),  # a run's, without a header
    (b"x,x\n0.5,-1.25\n3,1e-3\n7,2\n", ["x", "x"], POINTS, ["x", "x"]),
    (b"y,x\n-1.25,0.5\n1e-3,3\n2,7\n", ["x", "y"], POINTS, ["x", "y"]),
])
def test_columns_are_chosen_by_name_or_number(tmp_path, content, columns, expected, names):
    (tmp_path / "a.csv").write_bytes(content)
    table = data.read(tmp_path / "a.csv", columns)
    assert np.array_equal(table.items, expected) and list(table.columns) == names


@pytest.mark.parametrize("content, is_doubted", [
    (b"47,12\n48,5\n47,05\n", True), (b"47.12,5\n48.5,0\n47.05,0.5\n", False),
    (b"47,12;5\n48,05;3\n", False), (b"1,0\n2,0\n", False), (b"1e0,5e01\n0,1\n", False)])
def test_decimal_commas_that_separate_cells_are_doubted(tmp_path, content, is_doubted):
    (tmp_path / "a.csv").write_bytes(content + b"1,1\n" if b";" not in content else content)
    doubts = data.read(tmp_path / "a.csv").doubts
    assert len(doubts) == is_doubted and all("line 3 has" in doubt for doubt in doubts)


def test_columns_of_an_array(tmp_path):
    np.save(tmp_path / "a.npy", POINTS)
    assert np.array_equal(data.load(tmp_path / "a.npy", ["1"]), POINTS[:, 1:])
    np.save(tmp_path / "b.npy", IMAGES)
    for name, columns in (("a.npy", ["2"]), ("a.npy", ["1", "1"]), ("b.npy", ["1"])):
        with pytest.raises(ValueError) as error:
            data.load(tmp_path / name, columns)
        one_sentence(error, f"columns = '{','.join(columns)}'")


@pytest.mark.parametrize("columns", [["z"], ["x", "x"], ["x", "1"], ["y"], ["-1"], ["4"], [""]])
def test_columns_that_a_file_has_not(tmp_path, columns):
    (tmp_path / "a.csv").write_bytes(TABLE)
    with pytest.raises(ValueError) as error:
        data.load(tmp_path / "a.csv", columns)
    one_sentence(error, tmp_path / "a.csv", f"columns = '{','.join(columns)}'", "date, x", "0 to 3")


def test_a_header_of_names_beyond_all_measure(tmp_path):
    (tmp_path / "a.csv").write_text("x" * 100_000 + ",y\x1b\n1,2\n3,4\n")
    assert data.read(tmp_path / "a.csv").columns == ["x" * 40, "y"]


# Folders


def pictures(folder, mode="L", count=5, ending="png"):
    folder.mkdir(parents=True)
    for i in range(count):
        image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4) + i)
        image.convert(mode).save(folder / f"{i}.{ending}")
    return folder


def test_a_folder_of_pictures(tmp_path):
    """Sorted by name; what a system adds, and files of other kinds, are no pictures."""
    folder = pictures(tmp_path / "grey")
    for name in (".DS_Store", "._0.png", "labels.csv"):
        (folder / name).write_bytes(b"no picture")
    grey = data.load(folder)
    assert grey.shape == (5, 3, 4) and grey.dtype == np.uint8 and grey[4, 0, 0] == 4
    colours = data.load(pictures(tmp_path / "colours", "RGB"))
    assert np.array_equal(colours, np.repeat(grey[..., None], 3, 3))
    assert data.load(pictures(tmp_path / "jpeg", "RGB", ending="JPG")).shape == (5, 3, 4, 3)
    pictures(tmp_path / "classes" / "a", count=2)
    pictures(tmp_path / "classes" / "b", count=3)
    assert np.array_equal(data.load(tmp_path / "classes"), grey[[0, 1, 0, 1, 2]])


def test_a_photograph_is_turned_upright(tmp_path):
    image, exif = Image.fromarray(np.zeros((8, 16, 3), np.uint8)), Image.Exif()
    exif[274] = 6  # turned by 90 degrees
    image.save(tmp_path / "a.jpg", exif=exif)
    assert data.load(tmp_path).shape == (1, 16, 8, 3)


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_pictures_of_other_modes_are_refused_with_the_step_that_mends_them(tmp_path, mode):
    folder = pictures(tmp_path / "a", "L" if mode == "I;16" else mode,
                      ending="jpg" if mode == "CMYK" else "png")
    levels = 257 * np.arange(12, dtype=np.uint16).reshape(3, 4)
    if mode == "I;16":
        for path in folder.iterdir():
            Image.fromarray(levels).save(path)
    with pytest.raises(ValueError) as error:
        data.load(folder)
    one_sentence(error, folder, f"mode is {mode},")
    step = re.search(r"Image.open\(path\).*", str(error.value))[0]
    for path in folder.iterdir():
        eval(step, {"Image": Image, "path": path})
    mended = data.load(folder)
    assert mended.shape == (5, 3, 4) + ((3,) if mode in ("P", "RGBA", "CMYK") else ())
    assert mode != "I;16" or np.array_equal(mended[0], levels // 257)


def test_folders_that_are_refused(tmp_path, monkeypatch):
    sizes = pictures(tmp_path / "sizes")
    Image.new("L", (5, 5)).save(sizes / "z.png")
    modes = pictures(tmp_path / "modes")
    Image.new("RGB", (4, 3)).save(modes / "z.png")
    cut = pictures(tmp_path / "cut")
    (cut / "3.png").write_bytes((cut / "3.png").read_bytes()[:50])
    (tmp_path / "empty").mkdir()
    large = pictures(tmp_path / "large")
    for name, mention in [("sizes", "(3, 4) and z.png of (5, 5)"), ("modes", "convert('RGB')"),
                          ("cut", "3.png"), ("empty", "without pictures"), ("large", "36 bytes"),
                          ("large", "too many")]:
        if name == "large":
            monkeypatch.setattr("tinyddpm.app.pictures.LARGEST", 36 if "36" in mention else 35)
        with pytest.raises(ValueError) as error:
            data.load(tmp_path / name)
        one_sentence(error, tmp_path / name, mention)
    assert large.is_dir()


@pytest.mark.parametrize("place, spelling, pack", [
    ("", "{}-images-idx3-ubyte", bytes), ("", "{}-images.idx3-ubyte", bytes),
    ("", "{}-images-idx3-ubyte.gz", gzip.compress), ("raw", "{}-images-idx3-ubyte", bytes),
    ("MNIST/raw", "{}-images-idx3-ubyte.gz", gzip.compress)])
def test_a_folder_of_idx_files_without_labels(tmp_path, place, spelling, pack):
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / spelling.format("train")).write_bytes(pack(idx(IMAGES)))
    table = data.read(tmp_path)
    assert np.array_equal(table.items, IMAGES) and table.held_out is None
    (folder / spelling.format("t10k")).write_bytes(pack(idx(IMAGES[:2])))
    table = data.read(tmp_path)
    assert np.array_equal(table.items, IMAGES) and np.array_equal(table.held_out, IMAGES[:2])


# Arrays: what is refused, and that the step in the message mends it

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 9, 9), np.uint8)
COLOUR = RNG.integers(0, 256, (6, 9, 8, 3), np.uint8)
SCAN = mnist().held_out[:60]


@pytest.mark.parametrize("array, mended", [
    (GREY[:, None], GREY[..., None]), (COLOUR.transpose(0, 3, 1, 2), COLOUR),
    (GREY / 255, GREY), ((GREY / 255).astype("f4")[:, None], GREY[..., None]),
    (GREY / 127.5 - 1, GREY), (GREY.astype(int), GREY), (GREY.astype(float), GREY),
    (COLOUR.transpose(0, 3, 1, 2) / 127.5 - 1, COLOUR), (GREY > 99, 255 * (GREY > 99)),
    (GREY // 16 / 1, np.round((GREY // 16) * (255 / 16))),
    (257 * GREY.astype(np.uint16), None),
    (POINTS[:, 0], POINTS[:, :1]), (POINTS > 0, POINTS > 0), (POINTS + 0j, POINTS),
    (POINTS.astype(str), POINTS), (POINTS.astype(object), POINTS),
    (POINTS.reshape(1, 3, 2) * -9, POINTS.reshape(1, 6) * -9),
    (GREY[None, ..., None], GREY.reshape(1, -1)),
])
def test_an_array_is_refused_with_the_step_that_mends_it(array, mended):
    with pytest.raises(ValueError) as error:
        from_array("of mine", array)
    one_sentence(error, "'of mine'", str(array.dtype), array.shape)
    step, _ = re.search(r": ([^:]*(?::, [^:]*)?) makes (images|numbers|N points|points)",
                        str(error.value)).groups()
    result = data.check("of mine", eval(step, {"np": np, "array": array}))
    assert mended is None or np.array_equal(result, mended)


@pytest.mark.parametrize("array, images", [
    (SCAN.reshape(60, -1), SCAN), (SCAN.reshape(60, -1).astype(float), SCAN),
    (SCAN.reshape(60, -1) / 255, SCAN),
    (np.column_stack([np.arange(60) % 10, SCAN.reshape(60, -1)]), SCAN),  # Kaggle's train.csv
    (np.column_stack([SCAN.reshape(60, -1), np.arange(60) % 10]), SCAN),
    (np.repeat(SCAN[..., None], 3, 3).reshape(60, -1), np.repeat(SCAN[..., None], 3, 3)),
    (SCAN[:40, 6:22:2, 6:22:2].reshape(40, -1) // 16, None),  # scikit-learn's digits
])
def test_images_in_rows_are_refused_with_the_step_that_mends_them(array, images):
    with pytest.raises(ValueError) as error:
        from_array("of mine", array * (np.arange(array.shape[1]) != 1))
    one_sentence(error, "'of mine'", "may be images")
    step = re.search(r"images of .*?: (.*) makes images", str(error.value))[1]
    result = eval(step, {"np": np, "array": array})
    assert result.dtype == np.uint8 and len(result) == len(array)
    assert images is None or np.array_equal(result, images)


def test_a_constant_column_is_refused_with_the_step_that_mends_it(tmp_path):
    array = np.column_stack([POINTS, np.ones(3)])[[0, 1, 2, 0]]
    with pytest.raises(ValueError) as error:
        from_array("of mine", array)
    one_sentence(error, "column 2", "--columns 0,1")
    step = re.search(r"np.delete.*", str(error.value))[0]
    assert from_array("of mine", eval(step, {"np": np, "array": array})).held_out.shape == (2, 2)


# What is held out


@pytest.mark.parametrize("n, held_out", [(4, 2), (5, 2), (12, 2), (24, 2), (25, 2), (26, 3),
                                         (50, 5), (1000, 100)])
def test_a_tenth_is_held_out_but_at_least_two(n, held_out):
    items = np.arange(n, dtype=float)[:, None]
    dataset = from_array("of mine", items)
    drawn = dataset.draw(np.random.default_rng(0), 30 * n)
    assert sorted({*drawn[:, 0], *dataset.held_out[:, 0]}) == list(range(n))
    assert len(dataset.held_out) == held_out and len({*drawn[:, 0]}) == n - held_out
    assert f"{n - held_out} to train on, {held_out} held out" in dataset.description
    assert np.array_equal(from_array("of mine", items).held_out, dataset.held_out)


def test_the_split_is_the_same_everywhere():
    held_out = from_array("of mine", np.arange(30.0)[:, None]).held_out
    assert held_out[:, 0].tolist() == [21, 15, 12]


@pytest.mark.parametrize("items", [POINTS, IMAGES[:3], IMAGES[:1]])
def test_fewer_than_four_items(items):
    with pytest.raises(ValueError) as error:
        from_array("of mine", items)
    one_sentence(error, "'of mine'", f"{len(items)} of the 4", "2 held out")


def test_items_that_are_held_out_already():
    dataset = from_array("of mine", IMAGES, IMAGES[:2] + 1)
    assert np.array_equal(dataset.held_out, IMAGES[:2] + 1)
    for held_out in (IMAGES[:1], IMAGES[:, :2], POINTS):
        with pytest.raises(ValueError) as error:
            from_array("of mine", IMAGES, held_out)
        one_sentence(error, "(5, 3, 2)", held_out.shape)


# What is said, and where it is doubted

NORMAL = RNG.normal(size=(300, 2))
ROWS = np.arange(300.0)
AGES = RNG.integers(18, 90, (2000, 1))


def with_value(row, value):
    array = NORMAL.copy()
    array[row, 1] = value
    return array


@pytest.mark.parametrize("array, mentions", [
    (np.column_stack([ROWS, NORMAL]), ["column 0 counts the rows, 0 to 299", "--columns 1,2"]),
    (np.column_stack([ROWS, NORMAL])[RNG.permutation(300)[:180]], ["column 0 counts the rows"]),
    (np.column_stack([NORMAL, 1.7e9 + 3600 * ROWS]), ["column 2 counts the rows"]),
    (np.column_stack([AGES[:300], ROWS + 1000]), ["column 1 counts the rows, 1000 to 1299"]),
    (np.column_stack([ROWS, NORMAL])[:6], ["column 0 counts the rows, 0 to 5"]),
    (np.vstack([[2001, 2002], NORMAL]), ["the first row, 2001, 2002,", "header"]),
    (np.vstack([[0, 1], NORMAL]), ["the first row, 0, 1,", "header"]),
    (np.vstack([[2001, 2002], np.round(500 + 200 * NORMAL)]), ["the first row, 2001, 2002,"]),
    (np.stack(np.divmod(RNG.integers(100, 999, 200), 10), 1), ["decimal comma"]),
    (RNG.integers(1, 7, (300, 2)), ["values repeat, column 0 is", "column 1 is"]),
    (np.eye(4)[RNG.integers(0, 4, 300)], ["values repeat", "column 3 is 0 in "]),
    (np.column_stack([NORMAL, (ROWS > 180) * NORMAL[:, 0]]), ["column 2 is 0 in 60%"]),
    (np.where(ROWS[:, None] % 15 == 0, -999, NORMAL), ["column 0 is -999 in 7%, column 1"]),
    (RNG.integers(1, 7, (60, 2)), ["values repeat, column 0 is"]),
    (with_value(7, 1e12), ["column 1 is 1e+12 in row 7"]),
    (with_value(7, -1e12), ["column 1 is -1e+12 in row 7"]),
    (SCAN[0], ["28 rows of 28 numbers may be one image"]),
    (SCAN[0].astype(float), ["28 rows of 28 numbers may be one image"]),
    (np.vstack([[2001], NORMAL[:, :1]]), ["the first row, 2001,"]),
    (RNG.integers(0, 256, (48, 60), np.uint8), ["48 rows of 60 numbers may be one image"]),
    (GREY[:, :8, :8].reshape(6, 64).repeat(9, 0), ["images of 8 × 8"]),
    (COLOUR[0], ["one image in colour"]), (COLOUR[0].transpose(2, 0, 1), ["one image in colour"]),
    ((SCAN > 99).astype(np.uint8), ["2 grey levels", "255 / 1"]),
    (255 * (SCAN > 99).astype(np.uint8), ["2 grey levels, 0 to 255"]),
    (SCAN // 15, ["18 grey levels, 0 to 17", "255 / 17"]),
])
def test_what_is_doubted(array, mentions):
    [sentence] = doubts(array)
    assert all(mention in sentence for mention in mentions), sentence
    assert sentence.isprintable() and ". " not in sentence and not sentence.endswith(".")


@pytest.mark.parametrize("array", [
    NORMAL, NORMAL.astype("f4"), NORMAL[:4], NORMAL[:, :1], 1e-9 * NORMAL, 1e9 + NORMAL,
    np.vstack([[2], NORMAL[:20, :1]]),
    RNG.lognormal(10, 2, (300, 2)), RNG.uniform(size=(300, 64)), RNG.uniform(size=(64, 64)) - 0.5,
    RNG.standard_t(2, (300, 2)), with_value(7, 60),
    AGES, AGES[:30], np.column_stack([AGES, RNG.lognormal(10, 1, 2000).round()]),
    np.column_stack([AGES, AGES[::-1]]), np.column_stack([AGES, NORMAL.repeat(7, 0)[:2000]]),
    RNG.normal(172, 9, (2000, 2)).round(), RNG.normal(172, 9, (2000, 2)).round(1),
    RNG.normal(172, 9, (50, 2)).round(), RNG.integers(0, 101, (60, 2)), AGES[:60] // 2,
    RNG.poisson(900, (300, 2)), np.argsort(NORMAL, 0), ROWS[:, None],
    np.arange(40).reshape(20, 2), np.arange(8).reshape(4, 2), np.arange(60.0).reshape(20, 3),
    RNG.integers(0, 300, (300, 64)), RNG.integers(-9, 9, (20, 20)) + NORMAL[:20, :1],
    SCAN, SCAN[..., None], GREY, COLOUR, IMAGES, GREY[:4, :4, :4].repeat(9, 0),
])
def test_what_is_not_doubted(array):
    assert doubts(array) == []


@pytest.mark.parametrize("name", [*toys.TOYS, "mnist"])
def test_the_data_that_comes_with_the_package_is_not_doubted(name):
    dataset = open_data(name)
    assert dataset.doubts == () and dataset.description.startswith(f"{name}: ")
    assert doubts(dataset.held_out) == []
    assert doubts(dataset.draw(np.random.default_rng(0), 4000)) == []


@pytest.mark.parametrize("share, is_doubted", [(0.8, False), (1.2, True)])
def test_from_which_share_on_repeats_are_doubted(share, is_doubted):
    n = round(share * REPEATS * 1000)
    column = np.append(np.full(n, 0.5), RNG.normal(size=1000 - n))
    assert bool(doubts(column[:, None])) == is_doubted


@pytest.mark.parametrize("levels, is_doubted", [(FEW_LEVELS, True), (FEW_LEVELS + 1, False)])
def test_from_which_number_of_levels_on_images_are_not_doubted(levels, is_doubted):
    images = (np.arange(40 * 28 * 28) % levels).astype(np.uint8).reshape(40, 28, 28)
    assert bool(doubts(images)) == is_doubted


@pytest.mark.parametrize("array, columns, description", [
    (NORMAL[:50] * 0 + [[1, 2]] + ROWS[:50, None], ["x", ""],
     "a: 50 points of 2 numbers, 45 to train on, 5 held out; 'x' 1 to 50, column 1 2 to 51"),
    (NORMAL[:50, :1] * 0 + ROWS[:50, None], [],
     "a: 50 points of 1 number, 45 to train on, 5 held out; column 0 0 to 49"),
    (ROWS[:50, None] + np.arange(9), [],
     "a: 50 points of 9 numbers, 45 to train on, 5 held out; column 0 0 to 49, column 1 1 to 50, "
     "column 2 2 to 51, 5 more, column 8 8 to 57"),
    (COLOUR, [], f"a: 6 images of 9 × 8 × 3, 4 to train on, 2 held out; uint8 {COLOUR.min()} to "
                 f"{COLOUR.max()}"),
])
def test_description(array, columns, description):
    assert from_array("a", array, columns=columns).description == description


# The commands

SMALL = ["--steps", "2", "--batch", "4", "--width", "4", "--depth", "1", "--T", "4"]


def test_train_says_what_it_read_and_doubts_it(tmp_path, capsys):
    path = tmp_path / "a.csv"
    lines = [f"{i},{x},{y}" for i, (x, y) in enumerate(NORMAL)]
    path.write_text("\n".join([",x,y", *lines]))
    with pytest.warns(UserWarning, match="^column 0 counts the rows"):
        main(["train", "--data", str(path), "--out", str(tmp_path / "all"), *SMALL])
    printed = capsys.readouterr().out
    assert "300 points of 3 numbers" in printed and "'x' -" in printed
    command = ["--columns", "x,y", "--out", str(tmp_path / "run")]
    main(["train", "--data", str(path), *command, *SMALL])
    assert "300 points of 2 numbers" in capsys.readouterr().out
    run, _ = runs.load(tmp_path / "run")
    assert run.settings["columns"] == ["x", "y"] and run.settings["shape"] == [2]


def test_elbo_reads_the_columns_of_the_run(tmp_path, capsys):
    """From a file with more columns in another order, from one without names, and from an array."""
    x, y = NORMAL.T
    np.savetxt(tmp_path / "train.csv", np.column_stack([ROWS, x, y]), header="id,x,y",
               delimiter=",")
    np.savetxt(tmp_path / "other.csv", np.column_stack([y, ROWS, x]), header="y,id,x",
               delimiter=",")
    np.savetxt(tmp_path / "nameless.txt", NORMAL)
    np.save(tmp_path / "array.npy", NORMAL)
    run = str(tmp_path / "run")
    main(["train", "--data", str(tmp_path / "train.csv"), "--out", run, "--columns", "x,y", *SMALL])
    main(["train", "--resume", run])
    printed = set()
    for name in ("train.csv", "other.csv", "nameless.txt", "array.npy"):
        capsys.readouterr()
        main(["elbo", run, "--data", str(tmp_path / name)])
        printed.add(capsys.readouterr().out)
    assert len(printed) == 1
    np.savetxt(tmp_path / "lacks.csv", NORMAL, header="x,z", delimiter=",")
    with pytest.raises(SystemExit):
        main(["elbo", run, "--data", str(tmp_path / "lacks.csv")])
    assert "columns = 'x,y'" in capsys.readouterr().err


def test_columns_of_a_toy_are_refused():
    with pytest.raises(ValueError) as error:
        open_data("moons", columns=["x"])
    one_sentence(error, "'moons'", "columns = 'x'")
