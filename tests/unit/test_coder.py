"""Free-energy coding: the bound as a file.  Skipped where constriction is not installed."""
import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("constriction", reason="pip install 'tinyddpm[coder]'")
sys.path.insert(0, str(Path(__file__).parents[2] / "demos"))
import coder

from tinyddpm import Gaussian, Mixture, cosine, linear_chain
from tinyddpm.decoder import from_levels, to_images

DATA = Mixture([1], [[0.3]], [[[0.5]]])
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 4, 4), np.uint8)


def words(n, seed=0):
    return np.random.default_rng(seed).integers(2 ** 32, size=n, dtype=np.uint32)


def exact_model(T=12):
    schedule = cosine(T)
    return coder.Model(schedule, DATA.denoiser(schedule), levels=False)


def image_model(wrong=0.0):
    """A denoiser of images that guesses x̂_0 = 0, or a little more."""
    schedule = cosine(6)

    def denoiser(x_t, t):
        one_minus = np.float32(schedule.one_minus_alpha_bar[t])
        return x_t * np.sqrt(one_minus) + np.float32(wrong)
    return coder.Model(schedule, denoiser)


def encode(images=IMAGES, model=None, fingerprint="f" * 64):
    content, sent = coder.encode(model or image_model(), images,
                                 lambda items: from_levels(items).astype(float), fingerprint,
                                 np.random.default_rng(0))
    return content, sent


def decode(content, model=None, fingerprint="f" * 64):
    return coder.decode(model or image_model(), content, to_images, fingerprint)


def test_the_length_is_the_bound_of_the_exact_oracle():
    """For Gaussian data and their exact denoiser the expected length is −ELBO, a closed form, plus
    −log₂ δ for each number, because the items are on a grid of spacing δ (2.2).

    Statistical: fixed seed, 6 standard errors, and 0.002 bits for each of the 12 steps' grids.
    """
    model, rng = exact_model(), np.random.default_rng(0)
    n, spacing = 4000, model.spacing(0)
    x_0 = np.rint(DATA.sample(rng, n) / spacing) * spacing
    expected = linear_chain.gaussian_terms(model.schedule, DATA, x_0).sum(1) / np.log(2)
    lengths = []
    stack = coder.new_stack(words(3000))
    for part in np.split(x_0, 20):
        before = stack.num_valid_bits()
        sent = coder.send(stack, model, part)
        lengths.append((stack.num_valid_bits() - before) / len(part))
        assert lengths[-1] * len(part) == (sent.pushed - sent.popped).sum()
    excess = np.array(lengths) - (expected.reshape(20, -1).mean(1) - np.log2(spacing))
    error = excess.std(ddof=1) / np.sqrt(20)
    assert abs(excess.mean()) < 6 * error + 0.002 * model.schedule.T
    assert error < 0.02


def test_the_length_is_the_first_form_on_the_same_paths():
    model = exact_model()
    x_0 = np.rint(DATA.sample(np.random.default_rng(1), 3000) / model.spacing(0))
    stack = coder.new_stack(words(2000))
    sent = coder.send(stack, model, x_0 * model.spacing(0))
    net = (sent.pushed - sent.popped).sum() / len(x_0)
    assert net == pytest.approx(sent.bound / len(x_0) - np.log2(model.spacing(0)), rel=0.01)
    assert sent.popped[0] == 0 and (sent.pushed[1:-1] > 0).all() and sent.deepest > 0


@pytest.mark.parametrize("levels", [True, False])
def test_what_is_received_is_what_was_sent(levels):
    """The stack is as it was before, too: the receiver gets the initial bits back."""
    model = image_model() if levels else exact_model()
    x_0 = from_levels(IMAGES).astype(float) if levels else np.arange(-5.0, 5)[:, None]
    x_0 = x_0 if levels else x_0 * 40 * model.spacing(0)  # some are beyond the window
    stack = coder.new_stack(words(500))
    before = stack.get_compressed()
    coder.send(stack, model, x_0)
    assert (coder.receive(stack, model, x_0.shape) == x_0).all()
    assert (stack.get_compressed() == before).all()


def test_numbers_far_from_the_mean_take_an_escape():
    p, x = Gaussian(np.zeros(5), 0.01), np.array([0.0, 3.2, -3.2, 700.0, -31.9])
    stack = coder.new_stack(words(50))
    before = stack.get_compressed()
    coder.push_p(stack, x, p, 0.1)
    assert coder.pop_p(stack, p, 0.1) == pytest.approx(x, abs=1e-9)
    assert (stack.get_compressed() == before).all()


def test_a_file_comes_back_bit_for_bit():
    content, sent = encode()
    assert (decode(content) == IMAGES).all()
    header = json.loads(content.partition(b"\n")[0])
    assert header["batches"][0] == 1 and sum(header["batches"]) == len(IMAGES)
    length = 8 * len(content.partition(b"\n")[2])
    net = sum((batch.pushed - batch.popped).sum() for batch in sent)
    assert abs(length - 32 * header["initial_words"] - net) <= 64  # whole words


def test_batches_grow_with_the_file():
    sizes = [batch.pushed for batch in encode(np.tile(IMAGES, (20, 1, 1)))[1]]
    header = json.loads(encode(np.tile(IMAGES, (20, 1, 1)))[0].partition(b"\n")[0])
    assert len(sizes) == len(header["batches"]) and header["batches"][-2] > 4
    assert header["initial_words"] < 200  # those of one item


def test_other_floats_are_noticed():
    """A receiver whose denoiser differs in the last digits is told so, and gets no wrong digits."""
    content, _ = encode()
    with pytest.raises(ValueError, match="computes other floats than the sender's"):
        decode(content, image_model(wrong=1e-3))


def test_another_denoiser_is_refused():
    with pytest.raises(ValueError, match="another denoiser, ffff.*give the run"):
        decode(encode()[0], fingerprint="0" * 64)


CONTENT, _ = encode()
HEADER, _, PAYLOAD = CONTENT.partition(b"\n")


def with_header(**changes):
    return json.dumps({**json.loads(HEADER), **changes}).encode() + b"\n" + PAYLOAD


@pytest.mark.parametrize("content, sentence", [
    (b"", "no header"), (b"\n", "no header"), (b"[]\n", "no header"), (b"[" * 10 ** 5, "no header"),
    (b"\xff" * 100, "no header"), (HEADER, "damaged or incomplete"),
    (CONTENT[:-1], "damaged or incomplete"), (CONTENT[:-40], "damaged or incomplete"),
    (CONTENT + b"\0\0\0\0", "damaged or incomplete"), (HEADER + PAYLOAD, "no header"),
    (with_header(batches=[10 ** 9]), "no header"), (with_header(batches=[-1, 8]), "no header"),
    (with_header(batches="7"), "no header"), (with_header(shape=[0]), "no header"),
    (with_header(shape=[True, 4]), "no header"), (with_header(format="other"), "no header"),
    (with_header(model=3), "no header"), (with_header(batches=[]), "no header"),
    (with_header(shape=[4, 5]), "other floats"),
    (with_header(batches=[128] * 3), "other floats")],
    ids=lambda value: value[:12].decode(errors="replace") if isinstance(value, bytes) else value)
def test_a_hostile_file_gets_one_sentence(content, sentence):
    with pytest.raises(ValueError, match=sentence):
        decode(content)
