"""Your own files: what is read, what is refused in one sentence, and how the rows are split."""
import io
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import one_sentence

from tinyddpm.images.augment import random_shift
from tinyddpm.app import data, readers

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
    ("a.npy", npy(POINTS[:1]), "(1, 2)"), ("a.npy", npy(IMAGES[:1]), "N >= 2"),
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
    ("a.csv", b"1,oops\n3,4\n", "line 1: "), ("a.csv", b"# 1\n2 # 3\n", "line 2: "),
    ("a.csv", b"1;2\n3;4\n", "line 2: could not convert string '3;4'"),
    ("a.csv", b"\xff\xfe\x00\x01", "utf-8"),
    ("a.txt", b"1,2\n3,4\n", ".csv"), ("a", b"1,2\n3,4\n", ".csv"),
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


# The split


@given(st.integers(2, 50), st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_split_keeps_every_row_once(n, held_out):
    train, rest = data.split(np.arange(n), held_out)
    assert len(train) and len(rest) and sorted([*train, *rest]) == list(range(n))
    assert len(rest) == pytest.approx(held_out * n, abs=1)
    again = data.split(np.arange(n), held_out)
    assert np.array_equal(train, again[0]) and np.array_equal(rest, again[1])


def test_split_is_the_same_everywhere():
    assert data.split(np.arange(10), 0.3)[1].tolist() == [3, 0, 5]


@pytest.mark.parametrize("n, share, mention", [
    (10, 0, "share = 0"), (10, 1.0, "share = 1.0"), (10, float("nan"), "share = nan"),
    (1, 0.1, "1 rows"),
])
def test_split_refuses(n, share, mention):
    with pytest.raises(ValueError) as error:
        data.split(np.arange(n), share)
    one_sentence(error, mention)
