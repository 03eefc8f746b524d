"""The models of a task to train, and the number of their seeds."""

from typing import NamedTuple

from benchmarks.paper.models import KINDS, Model

SPARSITY = 0.5  # of the last stage
# The sweeps of the recurrent kernel's rank, and of the fraction of zeros.
RANKS = (1, 2, 4, 8, 12)
SPARSITIES = (0.25, 0.5, 0.75, 0.9)


class Preset(NamedTuple):
    """Attributes:
    seeds: number of them.
    sweep_seeds: number of them for a model that is only in a sweep.
    trial: boolean. Whether to train one epoch on a few sequences, without sweeps.
    """

    seeds: int
    sweep_seeds: int
    trial: bool

    def of(self, task):
        """With at most the task's own number of seeds."""
        return self._replace(seeds=min(self.seeds, task.seeds))


PRESETS = {"full": Preset(5, 2, trial=False), "small": Preset(1, 1, trial=True)}


class Plan(NamedTuple):
    """The models of a task: lists of `Model`, which may share some.

    Attributes:
        equal: a model of each kind, with as many units.
        stages: of FastGRNN, dense to sparse.
        candidates: of FastGRNN, for the fewest bytes.
        sizes: layers of other numbers of units.
        sweeps: dict from the size that varies to the models.
        swept: boolean, as in `Task`.
    """

    equal: list
    stages: list
    candidates: list
    sizes: list
    sweeps: dict
    swept: bool

    def seeds(self, preset):
        """Dict from model to the number of its seeds. A task that is not swept, as it takes hours,
        has one seed of each model but of those that may be chosen, and of GRU and LSTM."""
        stated = [*self.candidates, *(m for m in self.equal if m.kind in ("GRU", "LSTM"))]
        rows = [*self.equal, *self.stages, *self.sizes]
        swept = [model for models in self.sweeps.values() for model in models]
        return (
            dict.fromkeys(swept, preset.sweep_seeds)
            | dict.fromkeys(rows, preset.seeds if self.swept else 1)
            | dict.fromkeys(stated, preset.seeds)
        )

    def aware(self, model):
        """Whether to train it with quantisation too, which takes twice as long as the rest."""
        return model == self.stages[-1]


def plan(task, preset):
    dense = Model("FastGRNN", task.units)
    low_rank = dense._replace(kernel_rank=task.ranks[0], recurrent_rank=task.ranks[1])
    sizes = () if preset.trial else task.sizes
    swept = task.swept and not preset.trial
    units = sizes if swept else ()
    ranks = [n for n in (*(RANKS if swept else ()), task.ranks[1]) if n < task.units]
    sparsities = {*(SPARSITIES if swept else ()), SPARSITY, 0.0}
    kinds = ("FastGRNN" if swept else "FastRNN", "GRU", "LSTM")
    return Plan(
        equal=[Model(kind, task.units) for kind in KINDS if kind in task.kinds],
        stages=list(dict.fromkeys([dense, low_rank, low_rank._replace(sparsity=SPARSITY)])),
        candidates=[Model("FastGRNN", *shape) for shape in task.candidates],
        sizes=[Model(kind, n) for kind in kinds for n in sizes],
        sweeps={
            "units": [dense._replace(units=n) for n in (*units, task.units)],
            "recurrent_rank": [low_rank._replace(recurrent_rank=n) for n in sorted({*ranks})],
            "sparsity": [low_rank._replace(sparsity=s) for s in sorted(sparsities)],
        },
        swept=task.swept,
    )
