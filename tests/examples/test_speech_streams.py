import numpy as np

from examples.common.front_end import FRAME, SAMPLE_RATE
from examples.common.speech_streams import word_limits


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
