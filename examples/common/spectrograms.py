"""Spectrograms of sounds, one above the other."""

import matplotlib
import numpy as np
import PIL.Image
from matplotlib.figure import Figure

from examples.common import bands
from examples.common.front_end import SAMPLE_RATE


def picture(sounds, path):
    """Writes the spectrograms of a dict from name to float `(samples,)`, all of one length."""
    figure = Figure(figsize=(10, 2.2 * len(sounds)), layout="constrained")
    axes = figure.subplots(len(sounds), sharex=True)
    for ax, (name, sound) in zip(axes, sounds.items(), strict=True):
        level = 20 * np.log10(np.abs(bands.spectra(sound)) + 1e-6)
        image = ax.imshow(
            level.T,
            origin="lower",
            aspect="auto",
            extent=(0, len(sound) / SAMPLE_RATE, 0, SAMPLE_RATE / 2000),
            cmap=matplotlib.colormaps["magma"].resampled(14),  # 5 dB each
            vmin=-50,
            vmax=20,
        )
        ax.set(ylabel="kHz", title=name)
    axes[-1].set(xlabel="seconds")
    figure.colorbar(image, ax=axes, label="dB")
    figure.savefig(path, dpi=80)
    # Few colours make the file small; nothing else of noise can be compressed.
    PIL.Image.open(path).convert("RGB").quantize(32).save(path, optimize=True)
