"""False alarms on speech of another corpus: the announcements of the telephone exchange Asterisk.

Debian's packages asterisk-core-sounds-en-g722 and -fr-g722 hold them in 16 kHz (G.722), read by one
speaker of each language, under CC BY-SA 3.0. No English one says "yes" but "yesterday", which is
left out.
"""

import functools
import pathlib
import subprocess
import tempfile

import av
import numpy as np

from benchmarks import record
from examples.common import detection
from examples.common.front_end import FRAME, SAMPLE_RATE, FrontEnd
from examples.common.keyword_evaluation import DETECTOR
from examples.common.speech_streams import Spoken

FOLDER = record.ROOT / "build" / "asterisk"
LANGUAGES = "en", "fr"
LEFT_OUT = "yesterday", "silence"
PAUSE = SAMPLE_RATE // 4


def alarms(logits, threshold):
    """Dict from language to `{"alarms", "minutes"}` of a detector, whose logits are a function of
    features `(n, frames, 40)`."""
    nobody = Spoken(*np.zeros((5, 1), np.int64))
    found = {}
    for language in LANGUAGES:
        stream = logits(features(language)[np.newaxis])[0, :, 0]
        (counts,) = detection.curve(stream, nobody, "", [threshold], **DETECTOR)
        found[language] = {"alarms": counts.false_accepts, "minutes": 60 * counts.negative_hours}
    return found


@functools.cache
def features(language):
    """int8 `(frames, 40)`: all announcements in a row, in the order of their names."""
    paths = sorted(
        path
        for path in fetch(language).rglob("*.g722")
        if not any(name in str(path.relative_to(FOLDER)) for name in LEFT_OUT)
    )
    pause = np.zeros(PAUSE, np.int16)
    sound = np.concatenate([part for path in paths for part in (read(path), pause)])
    return FrontEnd()(sound[: len(sound) // FRAME * FRAME])


def fetch(language):
    """The folder of a language's announcements; apt-get downloads them, and installs nothing.

    Raises:
        ValueError: if it cannot.
    """
    folder = FOLDER / language
    if not folder.is_dir():
        package = f"asterisk-core-sounds-{language}-g722"
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as there:
            try:
                run = functools.partial(
                    subprocess.run, check=True, capture_output=True, text=True, cwd=there
                )
                run(["apt-get", "download", package])
                (file,) = pathlib.Path(there).glob("*.deb")
                run(["dpkg-deb", "--extract", str(file), "all"])
            except (OSError, subprocess.CalledProcessError) as error:
                reason = getattr(error, "stderr", "") or error
                raise ValueError(
                    f"apt-get cannot download {package} ({reason}): unpack Debian's package into "
                    f"{folder}."
                ) from error
            (pathlib.Path(there) / "all").rename(folder)
    return folder


def read(path):
    """int16 `(samples,)` of a file of G.722, at 16 kHz."""
    with av.open(str(path), format="g722") as file:
        return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
