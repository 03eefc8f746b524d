"""The tables of denoise.json."""

import numpy as np

from benchmarks.pages import markdown
from benchmarks.pages.markdown import table
from benchmarks.targets import TARGETS
from examples.common.denoise_evaluation import SNRS, mean

# Figures without a target, shown below those that have one.
MORE = "denoise_int8_loss_db", "denoise_tflite_bytes", "m4_instructions_per_frame"


def figures(results):
    return markdown.figures("denoise.json", results, [*TARGETS["denoise.json"], *MORE])


def ways(results):
    """Each way of denoising, in the noises of the training and in the noise that is not in it."""
    seeds = results["seeds"]

    def score(way, digits, *arguments):
        return f"{np.mean([mean(seed[way], *arguments) for seed in seeds]):.{digits}f}"

    rows = [
        [
            way,
            *(score(way, 2, snr, unseen) for unseen in (False, True) for snr in SNRS),
            score(way, 3, 0, False, "stoi"),
        ]
        for way in seeds[0]
    ]
    known, other = ([f"{noise}, {snr} dB" for snr in SNRS] for noise in ("known", "other"))
    made = table(["dB of SI-SDR gained", *known, *other, "STOI, known, 0 dB"], rows)
    return f"{made}\n\nTrainings of each model: {len(seeds)}."


def noises(results):
    """The gain in each noise at 0 dB."""
    _, *names = results["seeds"][0]  # the first way does nothing
    rows = [
        [
            noise.replace("_", " "),
            *(
                f"{np.mean([seed[n][noise]['0'][0] for seed in results['seeds']]):.2f}"
                for n in names
            ),
        ]
        for noise in results["seeds"][0][names[0]]
    ]
    return table(["0 dB", *names], rows)
