"""The cost and the gain of a bounded state: the example's model with nu trained, and with nu at 0.

    make bench-bounded-state

On the people for validation, over three seeds: windows that each start from a state of 0, and the
same windows as one stream that is never reset. Writes benchmarks/results/training.json.
"""

import keras
import numpy as np

from benchmarks import record
from examples.common import activity, classifier, command, data
from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.converter import conversion
from keras_fastgrnn.micro import Interpreter

SEEDS = (0, 1, 2)
# The sigmoid of 100 is 1 in float32, that of -100 is 0, and neither has a gradient.
VARIANTS = {
    "nu trained": {},
    "nu 0, zeta trained": {"nu_initializer": -100.0},
    "nu 0, zeta 1": {"nu_initializer": -100.0, "zeta_initializer": 100.0},
}


def one_run(variant, seed, train, validation, test):
    def layer():
        return FastGRNN.from_config(activity.low_rank().get_config() | variant)

    model, _ = activity.train(layer, train, validation, seed=seed, sparse=True)
    interpreter = Interpreter(classifier.to_int8(model, train))
    return {
        "seed": seed,
        "f1_float": classifier.f1(validation.y, classifier.predict(model, validation.x)),
        "f1_int8": classifier.f1(validation.y, interpreter.predict(validation.x)),
        "f1_test_float": classifier.f1(test.y, classifier.predict(model, test.x)),
        "f1_test_int8": classifier.f1(test.y, interpreter.predict(test.x)),
        **stream(model, train, validation),
    }


def stream(model, train, validation):
    """Runs all windows as one sequence, in float and in the integer model."""
    recurrent, head = model.layers
    n, timesteps, features = validation.x.shape
    sequence = FastGRNN.from_config(recurrent.get_config() | {"return_sequences": True})
    sequences = keras.Sequential([keras.Input((None, features)), sequence])
    sequences.set_weights(recurrent.get_weights())
    x = validation.x.reshape(1, -1, features)
    windows = classifier.predict(sequences, validation.x)
    states = classifier.predict(sequences, x)[0]

    # The integers of a chip that is never reset.
    samples = classifier.representative(train)
    (operator,) = conversion(
        model, representative_dataset=samples, streaming=True, reset="never"
    ).operators
    cell, formats = operator.integer_cell, operator.formats
    integers = reference.states(cell, formats.input.quantize(x))[0]
    clipped = np.any(np.abs(integers.astype(int)) >= 32767, axis=-1)
    outputs = formats.output.dequantize(reference.output(cell, integers)).astype(np.float32)

    def f1_at_ends(states):
        ends = states.reshape(n, timesteps, -1)[:, -1]
        return classifier.f1(validation.y, np.asarray(head(ends)))

    return {
        "largest_in_windows": float(np.max(np.abs(windows))),
        "largest_in_stream": float(np.max(np.abs(states))),
        "clipped_percent": 100 * float(np.mean(clipped)),
        "f1_stream_float": f1_at_ends(states),
        "f1_stream_int8": f1_at_ends(outputs),
    }


def main():
    sides = data.load(activity.load)
    variants = {}
    for name, variant in VARIANTS.items():
        print(name)
        variants[name] = [one_run(variant, seed, *sides) for seed in SEEDS]
    bounded = {
        "command": "make bench-bounded-state",
        "epochs": activity.TRAINING["epochs"],
        "windows": len(sides[1].x),
        "variants": variants,
    }
    record.figures("training.json", {"bounded_state": bounded})


if __name__ == "__main__":
    command.run(main)
