"""What a trained model loses in int8 and in int16."""

import keras
import numpy as np

from examples.common import classifier
from keras_fastgrnn.export.converter import conversion
from keras_fastgrnn.micro import Interpreter

DTYPES = "int8", "int16"


def integer_types(dtype):
    """Arguments of `convert()` for activations, inputs and outputs of one type."""
    return dict.fromkeys(("activations", "input_type", "output_type"), dtype)


def to_integers(model, samples, dtype):
    """`Conversion` of a model with `integer_types()`."""
    return conversion(model, representative_dataset=samples, **integer_types(dtype))


def run(found, x):
    """What a `Conversion` gives in TensorFlow Lite for Microcontrollers."""
    return Interpreter(found.model).predict(x)


def with_weights_of(found, model, trained):
    """The float model, with the real values of the int8 weights of a file.

    Args:
        found: `Conversion` of `trained`.
        model: a recurrent layer and a Dense one.
        trained: the same, or its quantisation-aware copy.
    """
    copy = keras.models.clone_model(model)
    copy.set_weights(trained.get_weights())
    recurrent, dense = copy.layers
    (operator,) = found.operators
    for name in ("kernel", "recurrent_kernel"):
        variables = recurrent.cell.matrices(name).values()
        matrices, formats = getattr(operator.integer_cell, name), getattr(operator.formats, name)
        for variable, matrix, (scale, _) in zip(variables, matrices, formats, strict=True):
            variable.assign(matrix.values.T * scale)
    dense.kernel.assign(classifier.dense_kernel(found.model))
    return copy


def classification(model, samples, split, score):
    """dict from form to its score on the people for testing, and to the percentage of sequences, of
    all people who were not trained on, of which the float model says the same: with the weights of
    the file, and with its own."""
    x = np.concatenate([split.test.x, split.validation.x])
    original = classifier.predict(model, x)

    def scored(logits):
        return {"score": score(split.test.y, logits[: len(split.test.y)])}

    values = {"float": scored(original)}
    for dtype in DTYPES:
        found = to_integers(model, samples, dtype)
        logits = run(found, x)
        same_weights = classifier.predict(with_weights_of(found, model, model), x)
        values[dtype] = scored(logits) | {
            "agreement": 100 * classifier.agreement(logits, same_weights),
            "agreement_original": 100 * classifier.agreement(logits, original),
            "tflite_bytes": len(found.model),
        }
    return values


def regression(model, trained, samples, test):
    """dict from form to its error, and to its RMS difference from the float model: with the weights
    of the file, and with its own.

    Args:
        model: the float model.
        trained: dict from form to the model of which its file is made. The form begins with the
            type.
        samples: for the ranges.
        test: `Data`.
    """
    original = classifier.predict(model, test.x)
    values = {"float": {"nrmse": rms(original - test.y) / np.std(test.y)}}
    for form, of in trained.items():
        found = to_integers(of, samples, form.partition(",")[0])
        y = run(found, test.x)
        same_weights = classifier.predict(with_weights_of(found, model, of), test.x)
        values[form] = {
            "nrmse": rms(y - test.y) / np.std(test.y),
            "difference": rms(y - same_weights),
            "difference_original": rms(y - original),
            "weights_alone": rms(same_weights - original),
        }
    return values


def rms(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
