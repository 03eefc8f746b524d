"""Inputs that a chip can generate, and the outputs of the integer model for them."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from keras_fastgrnn.export.c_source.arrays import constant

# A linear congruential generator modulo 2^32 (Numerical Recipes, section 7.1), whose upper bits are
# random.
FACTOR, INCREMENT = 1664525, 1013904223
SEQUENCES = 2


class Selftest(NamedTuple):
    """Two sequences for a model; the second has only extreme values.

    Attributes:
        steps: integer, the steps of a sequence.
        center, shift: lists of integers, one for each feature: an input of the first sequence is
            `center` plus a random int32 without its `shift` lowest bits.
        outputs: integers `(k, outputs)`: for each sequence the outputs after 1, 2, 4, ... steps and
            after the last.
    """

    steps: int
    center: list
    shift: list
    outputs: np.ndarray


def selftest(chain, quantizer=None):
    """Returns the `Selftest` of a `Chain`, through a `Quantizer` if there is one."""
    steps = min(max(chain.timesteps, 16), 1000)
    ends = np.iinfo(quantizer.dtype if quantizer else chain.input.dtype)
    center, shift = [0] * chain.features, [32 - ends.bits] * chain.features
    if quantizer:
        wanted = np.iinfo(quantizer.output).bits - 1
        features = zip(*dataclasses.astuple(quantizer)[2:], strict=True)
        around = [_around(ends, wanted, *feature) for feature in features]
        center, shift = map(list, zip(*around, strict=True))
    checked = [i for i in range(steps) if i & (i + 1) == 0 or i == steps - 1]
    outputs, words = [], random_words(SEQUENCES * steps * chain.features)
    first, second = words.reshape(SEQUENCES, steps, chain.features)
    for x in (center + (first >> shift), np.where(second < 0, ends.min, ends.max)):
        q = quantizer.quantize(x) if quantizer else x.astype(chain.input.dtype)
        outputs.append(chain.run(q)[checked])
    return Selftest(steps, center, shift, np.concatenate(outputs))


def selftest_values(chain, quantizer):
    """The expected outputs in C, and the code that generates the inputs."""
    test = selftest(chain, quantizer)
    arrays = [constant("selftest_outputs", chain.output.dtype, test.outputs)]
    word = f"(int32_t)random >> {test.shift[0]}"
    if quantizer is not None:
        arrays.append(constant("selftest_center", quantizer.dtype, test.center))
        arrays.append(constant("selftest_shift", "uint8", test.shift))
        word = "selftest_center[i] + ((int32_t)random >> selftest_shift[i])"
    return {
        "selftest_definitions": "\n".join(array.definition for array in arrays),
        "selftest_steps": test.steps,
        "selftest_input": word,
        "lcg_factor": FACTOR,
        "lcg_increment": INCREMENT,
    }


def random_words(n):
    """The generator's first n numbers, int64 with the values of an int32."""
    words, word = np.empty(n, np.int64), 0
    for i in range(n):
        words[i] = word = (word * FACTOR + INCREMENT) % 2**32
    return words - (words >> 31 << 32)


def _around(ends, wanted, low, narrow, multiplier, offset, shift):
    """`(center, shift)` of one feature, in the sensor's integers: around the middle of the model's
    range, once to twice as wide. `wanted`: the bits of the model's integers without the sign."""
    bits, middle = ends.bits - 1, -offset / multiplier if multiplier else 0
    if wanted == 7:
        middle = round(min(max(middle, -32768), 32767))
        if bits == 31:
            middle = (middle + 32768 << narrow) + low
    middle = round(min(max(middle, ends.min), ends.max))
    half_width = 2.0 ** (wanted + shift + narrow) / abs(multiplier or 1)
    width = min(max(math.ceil(math.log2(half_width)), 0), bits)
    most = (1 << bits) - (1 << width)
    return min(max(middle, -most), most), 31 - width
