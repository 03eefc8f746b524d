import numpy as np

from examples.common.clips import Clips, ragged
from examples.common.front_end import FRAME, SAMPLE_RATE
from examples.common.rooms import impulse_responses
from examples.common.speech_streams import babble, overdriven, word_limits


def test_a_word_ends_with_its_s():
    """A vowel, an "s" 20 dB below it, and the hum of the mains all along."""
    rng = np.random.default_rng(0)
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    vowel = 3000 * np.sin(2 * np.pi * 400 * t) * ((t > 0.2) & (t < 0.4))
    s = 300 * np.sqrt(2) * np.diff(rng.normal(size=len(t) + 1)) * ((t > 0.4) & (t < 0.6))
    hum = 200 * np.sin(2 * np.pi * 50 * t)
    start, end = word_limits((vowel + s + hum).astype(np.int16))
    assert abs(start - 0.2 * SAMPLE_RATE / FRAME) <= 2
    assert abs(end - 0.6 * SAMPLE_RATE / FRAME) <= 2


def test_babble():
    """Several people speak all the time, as loud as each other."""
    rng = np.random.default_rng(0)
    sounds = [rng.normal(0, 10 ** (1 + i % 3), SAMPLE_RATE // 2 + 100 * i) for i in range(9)]
    clips = Clips(ragged([s.astype(np.int16) for s in sounds]), np.full(9, "no"), np.full(9, "a"))
    made = babble(clips, 10, rng)
    assert made.dtype == np.int16 and len(made) == 10 * SAMPLE_RATE
    levels = made.reshape(-1, SAMPLE_RATE // 2).std(axis=1)
    assert levels.min() > 0.3 * levels.max()


def test_overdriven():
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 2000, SAMPLE_RATE)
    for _ in range(20):
        clipped = overdriven(sound, rng)
        at_limit = np.abs(clipped) == np.abs(clipped).max()
        assert 2 <= at_limit.sum() < SAMPLE_RATE and np.abs(clipped).max() < 2**15
        assert np.corrcoef(sound, clipped)[0, 1] > 0.7


def test_rooms():
    """The direct sound comes first, and the echoes die away."""
    for response in impulse_responses(5, np.random.default_rng(0)):
        assert abs(np.sum(response**2) - 1) < 1e-3
        assert np.argmax(np.abs(response) > 0.1 * np.abs(response).max()) <= 8
        quarter = len(response) // 4
        assert np.sum(response[-quarter:] ** 2) < 0.05 * np.sum(response[:quarter] ** 2)
