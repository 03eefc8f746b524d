"""How well the example's denoiser hears speech in noise, over three seeds, and what it costs.

    make bench-denoise

FastGRNN in float, with 16-bit and with 8-bit activations in TensorFlow Lite for Microcontrollers,
beside a keras GRU of as many units and the ideal gains; a frame on an emulated Cortex-M4. Writes
benchmarks/results/denoise.json.
"""

import pathlib
import tempfile

import keras
import numpy as np
from absl import flags

from benchmarks import record
from examples.common import command, data, denoise_evaluation, denoiser, noisy_speech
from examples.common.denoise_evaluation import mean
from examples.common.noisy_speech import UNSEEN
from keras_fastgrnn.export import c_source
from keras_fastgrnn.export.c_source.chain import read_chain
from tests.boards import TARGETS, program

_SEEDS = flags.DEFINE_integer("seeds", 3, "Trainings of each model.", 1)
MIXES, TESTS = 1600, 20  # for training, and in each noise at each SNR
M4_BUDGET = 480_000  # cycles between two frames: 10 ms at 48 MHz
FLOAT, INT16, INT8, GRU, IDEAL = (
    "FastGRNN, float",
    "FastGRNN, int16 in TFLM",
    "FastGRNN, int8 in TFLM",
    "GRU, float",
    "ideal gains",
)


def one_seed(seed, sides):
    """`(scores, x, int16)`: the scores of each way, and for the chip features and the file."""
    print(f"seed {seed}", flush=True)
    x, y = denoiser.training_set(sides.train, seed=seed, count=MIXES)
    model, gru = (denoiser.train(of, x, y, seed=seed) for of in (denoiser.fast_grnn, denoiser.gru))
    int16, int8 = (denoiser.to_file(model, x, activations) for activations in ("int16", "int8"))
    ways = denoise_evaluation.ways(model, gru, int16, int8)
    scores = {
        name: denoise_evaluation.evaluate(gains, sides.test, count=TESTS)
        for name, gains in {"as heard": None, **ways}.items()
    }
    return scores, x, int16


def on_chip(tflite, x):
    """Figures of a frame on the Cortex-M4, each output of which is as the integer model has it.

    Args:
        tflite: bytes of a streaming file with 16-bit activations.
        x: features `(frames, bands)`, one stream.
    """
    chain = read_chain(tflite)
    x = chain.input.quantize(x * chain.factor + chain.offset)
    (target,) = (target for target in TARGETS if target.name == "Cortex-M4")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for path, text in c_source(tflite).items():
            (folder / path).write_text(text)
        run = program.replay(target, folder, x[:, np.newaxis], chain.run(x))
        flash, static_ram = program.sizes(target, folder)
    return {
        "m4_instructions_per_frame": run.predict,
        "m4_budget_fraction": run.predict / M4_BUDGET,
        "m4_flash_bytes": flash,
        "m4_ram_bytes": static_ram + run.stack,
    }


def figures(seeds):
    """Those of denoise.json, from the scores of each seed, at 0 dB."""
    gains = {name: np.array([mean(scores[name], 0) for scores in seeds]) for name in seeds[0]}
    unseen = [scores[FLOAT][UNSEEN][0].gain for scores in seeds if UNSEEN in scores[FLOAT]]
    return {
        "denoise_gain_db": np.mean(gains[FLOAT]),
        "denoise_gru_gain_db": np.mean(gains[GRU]),
        "denoise_less_than_gru_db": np.mean(gains[GRU] - gains[FLOAT]),
        "denoise_int16_loss_db": np.mean(gains[FLOAT] - gains[INT16]),
        "denoise_int8_loss_db": np.mean(gains[FLOAT] - gains[INT8]),
        "denoise_ceiling_db": np.mean(gains[IDEAL]),
        "denoise_unseen_gain_db": np.mean(unseen) if unseen else None,
    }


def main():
    sides = data.load(noisy_speech.load)
    keras.config.disable_interactive_logging()  # a bar of each training
    seeds = []
    for seed in range(_SEEDS.value):
        scores, x, int16 = one_seed(seed, sides)
        seeds.append(scores)
        cost = {"denoise_constants_bytes": denoiser.constants(int16), "tflite_bytes": len(int16)}
        values = figures(seeds) | cost | on_chip(int16, np.concatenate(x[:2]))
        # After each seed, so that a long run that is stopped has what it found.
        record.figures("denoise.json", values | {"units": denoiser.UNITS, "seeds": seeds})


if __name__ == "__main__":
    command.run(main)
