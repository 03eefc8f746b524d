"""The gain and the cost of the example's denoiser, over three seeds.

    make bench-denoise

FastGRNN in float, with 16-bit and with 8-bit activations in TensorFlow Lite for Microcontrollers,
beside a keras GRU of as many units and the ideal gains; a frame on an emulated Cortex-M4. The
command continues where it was stopped: benchmarks/results/denoise_runs.json keeps each training.
Writes benchmarks/results/denoise.json.
"""

import functools

import keras
import numpy as np
from absl import flags

from benchmarks import record
from benchmarks.kept import Kept, digest
from examples.common import command, data, denoiser, noisy_speech
from examples.common.denoise_evaluation import by_features, evaluate, ideal, mean
from keras_fastgrnn.export.c_source.chain import read_chain
from tests.boards import TARGETS, program

_SEEDS = flags.DEFINE_integer("seeds", 3, "Trainings of each model.", 1)
EPOCHS = {"FastGRNN": 48, "GRU": 24}  # a step of GRU takes several times as long
MIXES, TESTS = 1600, 20  # for training, and in each noise at each SNR
M4_BUDGET = 480_000  # cycles between two frames: 10 ms at 48 MHz
HEARD, FLOAT, INT16, INT8, GRU, IDEAL = (
    "as heard",
    "FastGRNN, float",
    "FastGRNN, int16 in TFLM",
    "FastGRNN, int8 in TFLM",
    "GRU, float",
    "ideal gains",
)


def fast_grnn(sides, seed):
    """Trains a FastGRNN: its scores in float and of both files, bytes, and a frame on the chip."""
    x, y = denoiser.training_set(sides.train, seed=seed, count=MIXES)
    model = denoiser.train(denoiser.fast_grnn, x, y, seed=seed, epochs=EPOCHS["FastGRNN"])
    int16, int8 = (denoiser.to_file(model, x, activations) for activations in ("int16", "int8"))
    gains = {
        FLOAT: denoiser.in_float(model),
        INT16: denoiser.in_tflm(int16),
        INT8: denoiser.in_tflm(int8),
    }
    return {
        "scores": {name: scores(by_features(way), sides) for name, way in gains.items()},
        "denoise_constants_bytes": denoiser.constants(int16),
        "denoise_tflite_bytes": len(int16),
        **on_chip(int16, np.concatenate(x[:2])),
    }


def gru(sides, seed):
    x, y = denoiser.training_set(sides.train, seed=seed, count=MIXES)
    model = denoiser.train(denoiser.gru, x, y, seed=seed, epochs=EPOCHS["GRU"])
    return {"scores": {GRU: scores(by_features(denoiser.in_float(model)), sides)}}


def limits(sides):
    """The scores that need no training."""
    return {"scores": {HEARD: scores(None, sides), IDEAL: scores(ideal, sides)}}


def scores(gains, sides):
    return evaluate(gains, sides.test, count=TESTS)


def on_chip(tflite, x):
    """The cost of a frame on the Cortex-M4, whose outputs have to equal the integer model's.

    Args:
        tflite: bytes of a streaming file with 16-bit activations.
        x: features `(frames, bands)`, one stream.
    """
    chain = read_chain(tflite)
    x = chain.input.quantize(x * chain.factor + chain.offset)
    (target,) = (target for target in TARGETS if target.name == "Cortex-M4")
    with program.as_c(tflite) as folder:
        run = program.replay(target, folder, x[:, np.newaxis], chain.run(x))
    return {
        "m4_instructions_per_frame": run.predict,
        "m4_budget_fraction": run.predict / M4_BUDGET,
    }


def figures(seeds):
    """The figures of denoise.json at 0 dB, from the scores of each seed and way."""
    gains = {way: np.mean([mean(scores[way], 0) for scores in seeds]) for way in seeds[0]}
    return {
        "denoise_gain_db": gains[FLOAT],
        "denoise_gru_gain_db": gains[GRU],
        "denoise_less_than_gru_db": gains[GRU] - gains[FLOAT],
        "denoise_int16_loss_db": gains[FLOAT] - gains[INT16],
        "denoise_int8_loss_db": gains[FLOAT] - gains[INT8],
        "denoise_ceiling_db": gains[IDEAL],
        "denoise_unseen_gain_db": np.mean(
            [mean(scores[FLOAT], 0, unseen=True) for scores in seeds]
        ),
    }


def main():
    sides = data.load(noisy_speech.load)
    keras.config.disable_interactive_logging()  # no bar for each training
    kept = Kept(record.folder() / "denoise_runs.json")
    given = digest(sides), denoiser.LEARNING_RATE, denoiser.UNITS, MIXES, TESTS
    runs = []
    for seed in range(_SEEDS.value):
        run = {}
        for name, train in (("FastGRNN", fast_grnn), ("GRU", gru)):
            print(f"{name}, seed {seed}", flush=True)
            compute = functools.partial(train, sides, seed)
            run[name] = kept(f"{name}, seed {seed}", compute, *given, EPOCHS[name])
        runs.append(run)
    fixed = kept("limits", functools.partial(limits, sides), *given)["scores"]
    seeds = [
        {
            HEARD: fixed[HEARD],
            **run["FastGRNN"]["scores"],
            **run["GRU"]["scores"],
            IDEAL: fixed[IDEAL],
        }
        for run in runs
    ]
    costs = runs[0]["FastGRNN"]
    record.figures(
        "denoise.json",
        figures(seeds)
        | {name: cost for name, cost in costs.items() if name != "scores"}
        | {"units": denoiser.UNITS, "seeds": seeds},
    )


if __name__ == "__main__":
    command.run(main)
