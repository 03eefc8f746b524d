"""What a bounded state costs and gives: the model of the example with nu trained, and with nu at 0.

    make bench-bounded-state

On the people for validation, over three seeds: windows that each start from a state of 0, and all
of them as one stream that is never reset. Prints tables, and writes them into
benchmarks/results/training.json and docs/long_sequences.md.
"""

import keras
import numpy as np
from absl import app, flags

from benchmarks import record
from examples import activity_recognition as example
from examples.common import classifier
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
PAGE = record.ROOT / "docs" / "long_sequences.md"


def f1(y, logits):
    return classifier.macro_f1(classifier.confusion(y, logits))


def one_run(variant, seed, train, validation, test):
    def layer():
        return FastGRNN.from_config(example.low_rank().get_config() | variant)

    model, _ = example.train(
        layer, train, validation, seed=seed, epochs=flags.FLAGS.epochs, sparse=True
    )
    interpreter = Interpreter(classifier.to_int8(model, train))
    return {
        "seed": seed,
        "f1_float": f1(validation.y, classifier.predict(model, validation.x)),
        "f1_int8": f1(validation.y, interpreter.predict(validation.x)),
        "f1_test_float": f1(test.y, classifier.predict(model, test.x)),
        "f1_test_int8": f1(test.y, interpreter.predict(test.x)),
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
    windows, states = (
        classifier.predict(sequences, validation.x),
        classifier.predict(sequences, x)[0],
    )

    samples = classifier.representative(train)
    # The chip that is never reset.
    (operator,) = conversion(
        model, representative_dataset=samples, streaming=True, reset="never"
    ).operators
    cell, formats = operator.integer_cell, operator.formats
    integers = reference.states(cell, formats.input.quantize(x))[0]
    clipped = np.any(np.abs(integers.astype(int)) >= 32767, axis=-1)
    outputs = formats.output.dequantize(reference.output(cell, integers))

    def at_ends(states):
        return np.asarray(head(states.reshape(n, timesteps, -1)[:, -1]))

    return {
        "largest_in_windows": float(np.max(np.abs(windows))),
        "largest_in_stream": float(np.max(np.abs(states))),
        "clipped_percent": 100 * float(np.mean(clipped)),
        "f1_stream_float": f1(validation.y, at_ends(states)),
        "f1_stream_int8": f1(validation.y, at_ends(outputs.astype(np.float32))),
    }


def spread(runs, key, digits):
    values = [run[key] for run in runs]
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def tables(variants):
    def table(header, columns):
        rows = [
            [name, *(spread(runs, key, digits) for key, digits in columns)]
            for name, runs in variants.items()
        ]
        return record.table(["", *header], rows)

    windows = table(
        ["float", "int8", "int8, people for testing"],
        [("f1_float", 3), ("f1_int8", 3), ("f1_test_int8", 3)],
    )
    stream = table(
        ["largest in windows", "in the stream", "steps clipped, %", "F1 float", "F1 int8"],
        [
            ("largest_in_windows", 1),
            ("largest_in_stream", 1),
            ("clipped_percent", 1),
            ("f1_stream_float", 3),
            ("f1_stream_int8", 3),
        ],
    )
    return {"windows": windows, "stream": stream}


def main(argv):
    data = example.start(argv)
    variants = {}
    for name, variant in VARIANTS.items():
        print(name)
        variants[name] = [one_run(variant, seed, *data) for seed in SEEDS]
    parts = tables(variants)
    for text in parts.values():
        print(f"\n{text}")
    bounded = {
        "command": "make bench-bounded-state",
        "epochs": flags.FLAGS.epochs,
        "windows": len(data[1].x),
        "variants": variants,
    }
    record.figures("training.json", {"bounded_state": bounded})
    record.page(PAGE, parts)


if __name__ == "__main__":
    app.run(main)
