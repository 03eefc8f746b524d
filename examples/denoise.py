"""Speech out of noise: a denoiser in 12 KB, from recordings to frames in TensorFlow Lite Micro.

    python -m examples.denoise

Trains two FastGRNN layers to give each of 22 bands its gain, every 10 ms, on the speech and the
noise of Google Speech Commands; converts them with 16-bit activations and runs them frame by frame
in TensorFlow Lite for Microcontrollers, on speakers and stretches of noise that they have never
heard. Prints a table, with --gru also of a keras GRU; writes the .tflite file, and a mix to hear
and to see: noisy, denoised and clean.
"""

import numpy as np
import soundfile
from absl import flags

from examples.common import command, data, denoiser, noisy_speech, spectrograms
from examples.common.denoise_evaluation import SNRS, by_features, denoise, evaluate, ideal, mean
from examples.common.front_end import SAMPLE_RATE
from examples.common.noisy_speech import UNSEEN
from examples.common.training_flags import changes, output_folder

_MIXES = flags.DEFINE_integer("mixes", 1600, "Mixes for training, of 2.5 s each.", 1)
_TESTS = flags.DEFINE_integer("tests", 10, "Mixes for the test in each noise, of 5 s each.", 1)
_GRU = flags.DEFINE_boolean("gru", False, "Train a keras GRU too, which takes most of the time.")


def row(name, scores):
    return (
        name,
        *(f"{mean(scores, snr):.2f}" for snr in SNRS),
        f"{mean(scores, 0, unseen=True):.2f}",
        f"{mean(scores, 0, field='stoi'):.3f}",
    )


def main():
    sides = data.load(noisy_speech.load)
    folder = output_folder()
    training = changes()
    print(f"Mixing {_MIXES.value:,} times speech and noise")
    x, y = denoiser.training_set(sides.train, seed=training["seed"], count=_MIXES.value)
    print("Training FastGRNN")
    model = denoiser.train(denoiser.fast_grnn, x, y, **training)
    ways = {"as heard": None, "FastGRNN, float": by_features(denoiser.in_float(model))}
    print("Converting to 16-bit and to 8-bit activations")
    int16, int8 = (denoiser.to_file(model, x, activations) for activations in ("int16", "int8"))
    (folder / "denoise.tflite").write_bytes(int16)
    in_tflm = by_features(denoiser.in_tflm(int16))
    ways |= {
        "  the same, int16 in TFLM": in_tflm,
        "  the same, int8 in TFLM": by_features(denoiser.in_tflm(int8)),
    }
    if _GRU.value:
        print("Training GRU")
        gru = denoiser.train(denoiser.gru, x, y, **training)
        ways["GRU, float"] = by_features(denoiser.in_float(gru))
    ways["ideal gains"] = ideal

    print("Running frame by frame in TensorFlow Lite for Microcontrollers (TFLM)")
    rows = [row(name, evaluate(way, sides.test, count=_TESTS.value)) for name, way in ways.items()]
    header = "", *(f"gain at\n{snr} dB" for snr in SNRS), "other noise\nat 0 dB", "STOI\nat 0 dB"
    command.show(
        "dB of SI-SDR gained, speakers and stretches of noise that took no part in training",
        header,
        rows,
        caption=f"other noise: {UNSEEN}, which was not in training",
    )
    print(f"The 16-bit model has {denoiser.constants(int16):,} bytes of constants.")

    mixed = noisy_speech.evaluation_mixes(sides.test, UNSEEN, 5, count=1, seconds=8.0, seed=1)
    sounds = {"noisy": sum(mixed), "denoised": denoise(mixed, in_tflm), "clean": mixed.speech}
    for name, sound in sounds.items():
        soundfile.write(folder / f"{name}.wav", np.clip(sound[0], -1, 1), SAMPLE_RATE, "PCM_16")
    spectrograms.picture({name: sound[0] for name, sound in sounds.items()}, folder / "denoise.png")
    names = ", ".join(f"{name}.wav" for name in sounds)
    print(f"Written: denoise.tflite, denoise.png, {names} in {folder}/")


if __name__ == "__main__":
    command.run(main)
