"""The tables of denoise.json."""

import numpy as np

from benchmarks.pages import markdown
from benchmarks.pages.markdown import table
from benchmarks.targets import TARGETS
from examples.common.denoise_evaluation import SNRS, as_scores, mean
from examples.common.noisy_speech import UNSEEN

# Without a target, beside those that have one.
MORE = "denoise_int8_loss_db", "denoise_tflite_bytes", "m4_instructions_per_frame"


def figures(results):
    return markdown.figures("denoise.json", results, [*TARGETS["denoise.json"], *MORE])


def ways(results):
    """Each way in the noises of the training, and in the one that was not in it."""
    rows = []
    for name in results["seeds"][0]:
        seeds = [as_scores(scores[name]) for scores in results["seeds"]]
        rows.append(
            [
                name,
                *(f"{np.mean([mean(scores, snr) for scores in seeds]):.2f}" for snr in SNRS),
                *(f"{np.mean([s[UNSEEN][str(snr)].gain for s in seeds]):.2f}" for snr in SNRS),
                f"{np.mean([mean(scores, 0, 'stoi') for scores in seeds]):.3f}",
            ]
        )
    known, other = ([f"{noise}, {snr} dB" for snr in SNRS] for noise in ("known", "other"))
    made = table(["dB of SI-SDR gained", *known, *other, "STOI, known, 0 dB"], rows)
    return f"{made}\n\nTrainings of each model: {len(results['seeds'])}."


def noises(results):
    """Each noise at 0 dB."""
    names = list(results["seeds"][0])[1:]  # without what is heard
    seeds = {name: [as_scores(scores[name]) for scores in results["seeds"]] for name in names}
    rows = [
        [
            noise.replace("_", " "),
            *(f"{np.mean([scores[noise]['0'].gain for scores in seeds[n]]):.2f}" for n in names),
        ]
        for noise in seeds[names[0]][0]
    ]
    return table(["0 dB", *names], rows)
