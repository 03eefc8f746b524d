"""The audio front end of TensorFlow Lite for Microcontrollers, as chips run it."""

import numpy as np
from pymicro_features import MicroFrontend

SAMPLE_RATE = 16_000
HOP = 160  # samples: 10 ms, from one frame of the front end to the next
# The models hear the mean of every two frames: 20 ms. A state of few units then remembers a word
# over half the steps, the chip runs half the instructions, and the features have less noise
# (docs/wake_word.md).
FRAME = 2 * HOP
FRAMES_PER_SECOND = SAMPLE_RATE // FRAME
BANDS = 40  # features of a frame

# The format of the int8 input of a model.
SCALE, ZERO_POINT = 1 / 64, -64

# pymicro-features gives the front end's integers times this.
_FEATURE_SCALE = 0.0390625


class FrontEnd:
    """40 log-mel bands, 125 to 7,500 Hz, of 30 ms of sound.

    It subtracts the noise and evens out the loudness (PCAN), both estimated from the past of the
    stream: each stream needs a front end of its own.
    """

    def __init__(self):
        self._front_end = MicroFrontend()

    def integers(self, audio):
        """Hears more of the stream.

        Args:
            audio: int16 `(160 * n,)`, at 16 kHz.

        Returns:
            uint16 `(n, 40)`, 0 to about 670, a frame each 10 ms; at first two frames fewer.
        """
        _check(audio, HOP)
        frames = []
        for start in range(0, len(audio), HOP):
            chunk = audio[start : start + HOP].tobytes()
            frames.append(self._front_end.process_samples(chunk).features)
        features = np.array([frame for frame in frames if frame]).reshape(-1, BANDS)
        return np.round(features / _FEATURE_SCALE).astype(np.uint16)

    def __call__(self, audio):
        """Hears more of the stream, in the frames of the models.

        Args:
            audio: int16 `(320 * n,)`, at 16 kHz.

        Returns:
            int8 `(n, 40)`, a frame each 20 ms; at first one frame fewer.
        """
        _check(audio, FRAME)
        pairs = self.integers(audio).reshape(-1, 2, BANDS)
        return to_int8((pairs.sum(axis=1, dtype=np.int32) + 1) // 2)


def _check(audio, multiple):
    if audio.dtype != np.int16 or audio.ndim != 1 or len(audio) % multiple:
        raise ValueError(
            f"Needs int16 samples, a multiple of {multiple} of them; got {audio.dtype} of shape "
            f"{audio.shape}."
        )


def to_int8(integers):
    """The front end's integers as int8, scaled as in TFLite Micro's example micro_speech."""
    features = integers.astype(np.int32)
    return np.clip((features * 256 + 333) // 666 - 128, -128, 127).astype(np.int8)


def to_float(features):
    """int8 of the front end -> the float input of a model, -1 to 2.98 with a mean near 0.

    An int8 model reads the front end's integers as they are: `SCALE` and `ZERO_POINT`.
    """
    return (features.astype(np.float32) - ZERO_POINT) * np.float32(SCALE)
