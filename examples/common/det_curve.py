"""The DET curve of detectors: keywords missed against false alarms an hour."""

from matplotlib.figure import Figure


def picture(curves, path):
    """Writes the curves of a dict from name to a list of `detection.Counts`."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    hours = next(iter(curves.values()))[0].negative_hours
    for name, counts in curves.items():
        x = [count.false_accepts_per_hour for count in counts]
        axes.plot(x, [100 * count.false_reject_rate for count in counts], ".-", label=name)
    # Fewer than 3 alarms may as well be none: the 95 % interval of a count of 0 is 0 to 3.
    axes.axvspan(0, 3 / hours, color="0.9", lw=0)
    axes.set(
        xlabel=f"false alarms an hour, of {hours:.2f} hours (grey: below 3 in all)",
        ylabel="keywords missed, %",
        xscale="symlog",
        ylim=(0, 60),
        title="speakers who took no part in training, one stream",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
