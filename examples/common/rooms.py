"""Rooms that speech sounds in, simulated by pyroomacoustics."""

import numpy as np
import pyroomacoustics

from examples.common.front_end import SAMPLE_RATE

LONGEST = 0.75  # seconds of a response
EARLY = 8  # samples kept before the direct sound


def impulse_responses(count, rng):
    """The responses of rooms of any size at random places, with an energy of 1.

    Args:
        count: integer.
        rng: `numpy.random.Generator`.

    Returns:
        List of float32 arrays of different lengths. A sound of 60 dB dies away in 0.15 to 0.7 s.
    """
    responses = []
    while len(responses) < count:
        size = rng.uniform((2.5, 2.5, 2.2), (9, 7, 3.5))
        speaker, microphone = rng.uniform(0.4, size - 0.4, (2, 3))
        try:
            absorption, order = pyroomacoustics.inverse_sabine(rng.uniform(0.15, 0.7), size)
        except ValueError:  # no wall is that absorbent: the room is too large for the time
            continue
        if np.linalg.norm(speaker - microphone) < 0.4:
            continue
        room = pyroomacoustics.ShoeBox(
            size,
            fs=SAMPLE_RATE,
            materials=pyroomacoustics.Material(absorption),
            max_order=min(order, 12),
        )
        room.add_source(speaker)
        room.add_microphone(microphone)
        room.compute_rir()
        response = room.rir[0][0]
        direct = np.argmax(np.abs(response) > 0.1 * np.abs(response).max())
        response = response[max(direct - EARLY, 0) :][: int(LONGEST * SAMPLE_RATE)]
        responses.append((response / np.linalg.norm(response)).astype(np.float32))
    return responses
