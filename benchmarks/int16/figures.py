"""The figures of all tasks."""

CLASSES = "HAPT-6", "keywords"


def figures(runs):
    """The figures from the results of each task and seed: means, and the least agreements."""
    found = {}
    if wide := runs.get("wide range"):
        found["wide_range_loss"] = loss(wide)
    if generated := runs.get("Mackey-Glass"):
        found["regression_error_ratio"] = ratio(generated, "difference", ", QAT")
        found["regression_error_ratio_untrained"] = ratio(generated, "difference")
        found["regression_error_ratio_original"] = ratio(generated, "difference_original", ", QAT")
    if demand := runs.get("electricity"):
        found["electricity_nrmse_ratio"] = mean(
            run["int16, QAT"]["nrmse"] / run["float"]["nrmse"] for run in demand
        )
    if hapt_2 := runs.get("HAPT-2"):
        found["hapt2_loss"] = 100 * loss(hapt_2)
    if "HAPT-6" in runs:
        found["tflite_bytes_int16"] = max(run["int16"]["tflite_bytes"] for run in runs["HAPT-6"])
    both = [run for name in CLASSES for run in runs.get(name, [])]
    if both:
        for dtype in ("int16", "int8"):
            least = {
                key: min(run[dtype][key] for run in both)
                for key in ("agreement", "agreement_original")
            }
            found[f"agreement_{dtype}_min"] = least["agreement"]
            found[f"agreement_{dtype}_original"] = least["agreement_original"]
    return found


def loss(runs):
    """The mean score that int16 loses to float."""
    return mean(run["float"]["score"] - run["int16"]["score"] for run in runs)


def ratio(runs, key, form=""):
    """The mean ratio of a difference in int16 to the difference in int8."""
    return mean(run[f"int16{form}"][key] / run[f"int8{form}"][key] for run in runs)


def mean(values):
    values = list(values)
    return sum(values) / len(values)
