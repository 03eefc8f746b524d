"""The tables of denoise.json."""

import numpy as np

from benchmarks.pages.markdown import table
from examples.common.denoise_evaluation import SNRS, as_scores, mean
from examples.common.noisy_speech import UNSEEN


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
    return table(["dB of SI-SDR gained", *known, *other, "STOI, known, 0 dB"], rows)


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
