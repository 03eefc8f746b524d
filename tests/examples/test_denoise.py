"""The denoiser on synthetic sounds."""

import numpy as np
import pytest
import soundfile
from speech import archive, says_where_the_archive_is, write
from tools import run_main

from benchmarks import denoise as benchmark
from benchmarks.pages import denoise as pages
from examples import denoise as example
from examples.common import bands, denoise_evaluation, denoiser, noisy_speech
from examples.common.front_end import SAMPLE_RATE
from examples.common.noisy_speech import UNSEEN, Mix
from keras_fastgrnn.micro import Interpreter


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_inverse(rng):
    sound = rng.normal(size=(2, 16_000))
    # float64 rounds the squares of the window, which add up to 1.
    np.testing.assert_allclose(bands.sound_of(bands.spectra(sound)), sound, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="multiple of 160 samples; got 161"):
        bands.spectra(np.zeros(161))


def test_gains_of_one_and_of_zero(rng):
    spectra = bands.spectra(rng.normal(size=1600))
    same = bands.amplify(spectra, np.ones((11, bands.BANDS)))
    np.testing.assert_allclose(same, spectra, rtol=1e-12)
    assert not bands.amplify(spectra, np.zeros((11, bands.BANDS))).any()


def test_frames_know_nothing_of_the_future(rng):
    """A chip computes each frame before the next sound comes."""
    sound = rng.normal(size=3200)
    np.testing.assert_array_equal(bands.spectra(sound[:1600])[:-1], bands.spectra(sound)[:10])


def test_a_tone_is_in_its_band():
    t = np.arange(1600) / SAMPLE_RATE
    for centre in (400, 1080, 5300):
        features = bands.features(bands.spectra(np.sin(2 * np.pi * centre * t)))
        assert (features[1:-1].argmax(axis=-1) == np.flatnonzero(centre == bands.CENTRES)).all()


def test_ideal_gains(rng):
    silence, sound = bands.spectra(np.zeros(1600)), bands.spectra(rng.normal(size=1600))
    assert not bands.ideal_gains(silence, sound).any()
    # The floor of the energies is 90 dB below full scale.
    np.testing.assert_allclose(bands.ideal_gains(sound, silence), 1, atol=1e-6)
    np.testing.assert_allclose(bands.ideal_gains(sound, 2 * sound), 0.2, atol=1e-6)


def test_si_sdr():
    t = np.arange(1600)
    speech, noise = np.sin(2 * np.pi * t / 16), np.cos(2 * np.pi * t / 16)  # at right angles
    for scale in (1, 0.01):  # the score does not depend on the scale
        heard = scale * (speech + np.array([[1], [0.1]]) * noise)
        np.testing.assert_allclose(denoise_evaluation.si_sdr(heard, speech), [0, 20], atol=1e-9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small folder in the layout of the archive; one recording counts its samples."""
    folder = tmp_path_factory.mktemp("archive")
    archive(folder, people=6)
    for path in (folder / "_background_noise_").iterdir():
        path.unlink()
    rng = np.random.default_rng(0)
    for name, sound in (
        ("hiss", rng.normal(0, 300, 30 * SAMPLE_RATE)),
        ("count", np.arange(25 * SAMPLE_RATE) % 30_000),
        (UNSEEN, rng.normal(0, 300, 9 * SAMPLE_RATE)),
    ):
        write(folder / "_background_noise_" / f"{name}.wav", sound.astype(np.int16))
    names = sorted(f"{path.parent.name}/{path.name}" for path in folder.glob("[!_]*/*.wav"))
    for side, person in (("validation", "00000000"), ("testing", "00000001")):
        chosen = [name for name in names if person in name]
        (folder / f"{side}_list.txt").write_text("\n".join(chosen) + "\n")
    return folder


@pytest.fixture(scope="module")
def sides(folder):
    return noisy_speech.load(folder)


def test_no_sound_is_on_two_sides(sides):
    clips = [{clip.tobytes() for clip in side.speech} for side in sides]
    assert [len(side.speech) for side in sides] == [32, 8, 8]
    assert len(set.union(*clips)) == 48
    for name, samples in (("hiss", 30 * SAMPLE_RATE), ("count", 25 * SAMPLE_RATE)):
        assert [len(side.noise[name]) / samples for side in sides] == [0.6, 0.2, 0.2]
    counted = np.concatenate([side.noise["count"] for side in sides])
    np.testing.assert_array_equal(counted * 32768, np.arange(25 * SAMPLE_RATE) % 30_000)
    assert [UNSEEN in side.noise for side in sides] == [False, False, True]


def test_flac_and_the_clips_for_testing_in_one_file(folder, sides, tmp_path):
    """The sides are the same for .flac files beside `gsc12.npz`, which has silence too."""
    audio, speaker = [], []
    for path in sorted(folder.glob("*/*.wav")):
        sound, _ = soundfile.read(path, dtype="int16")
        if path.parent.name != "_background_noise_" and "00000001" in path.name:
            audio.append(sound)
            speaker.append("00000001")
            continue
        to = tmp_path / "speech_commands" / path.parent.name / f"{path.stem}.flac"
        to.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(to, sound, SAMPLE_RATE)
    audio.append(np.zeros(SAMPLE_RATE, np.int16))
    np.savez(tmp_path / "gsc12.npz", audio=np.array(audio), speaker=np.array([*speaker, ""]))
    names = (folder / "validation_list.txt").read_text().replace(".wav", ".flac")
    (tmp_path / "speech_commands" / "validation_list.txt").write_text(names)
    for ours, theirs in zip(noisy_speech.load(tmp_path), sides, strict=True):
        np.testing.assert_array_equal(ours.speech, theirs.speech)
        assert {n: s.tobytes() for n, s in ours.noise.items()} == {
            n: s.tobytes() for n, s in theirs.noise.items()
        }


def test_clips_in_noise_are_left_out(rng):
    word = np.concatenate([np.zeros(8000), np.sin(np.arange(8000))])
    assert noisy_speech.is_clean(word + rng.normal(0, 0.001, 16_000))
    assert not noisy_speech.is_clean(word + rng.normal(0, 0.1, 16_000))


def test_mixes(sides, rng):
    five, ten = (
        noisy_speech.evaluation_mixes(sides.test, "hiss", snr, count=2, seconds=3)
        for snr in (5, 10)
    )
    np.testing.assert_array_equal(five.speech, ten.speech)
    for mixed, snr in ((five, 5), (ten, 10)):
        assert mixed.speech.shape == mixed.noise.shape == (2, 48_000)
        speech, noise = (np.mean(sound.astype(float) ** 2, axis=1) for sound in mixed)
        np.testing.assert_allclose(10 * np.log10(speech / noise), snr, atol=1e-3)
        np.testing.assert_allclose(10 * np.log10(speech), -26, atol=1e-3)
    with pytest.raises(ValueError, match="6.0 s of one noise, and a mix takes 7 s"):
        noisy_speech.evaluation_mixes(sides.test, "hiss", 5, count=1, seconds=7)
    mixed = noisy_speech.training_mixes(sides.train, rng, count=20, seconds=1)
    speech, noise = (10 * np.log10(np.mean(np.square(s, dtype=float), axis=1)) for s in mixed)
    assert speech.min() > -45.1 and speech.max() < -14.9 and np.ptp(speech) > 10
    snrs = speech - noise
    assert snrs.min() > -5.1 and snrs.max() < 15.1 and np.ptp(snrs) > 10


def test_loss_counts_loud_bands_more():
    features = np.array([[[-2.0, 2.0]]], np.float32)
    weights = denoiser.weights(features)
    assert weights[0, 0, 1] > 5 * weights[0, 0, 0] and np.mean(weights) == pytest.approx(1)
    y = np.concatenate([[[[0.5, 0.5]]], weights], axis=-1)
    quiet, loud = (
        float(np.sum(denoiser.loss(y, np.array([[gains]])))) for gains in ([1, 0.5], [0.5, 1])
    )
    assert loud == pytest.approx(weights[0, 0, 1] * 0.25 / 2)
    assert quiet == pytest.approx(weights[0, 0, 0] * 0.25 / 2)


@pytest.fixture(scope="module")
def trained(sides):
    x, y = denoiser.training_set(sides.train, seed=0, count=64, seconds=1.0)
    return denoiser.train(lambda: denoiser.fast_grnn(8), x, y, seed=0, epochs=20), x


def test_training(trained, sides):
    """Hiss is easy to tell from words: a tiny model makes it quieter."""
    model, _ = trained
    gains = denoise_evaluation.by_features(denoiser.in_float(model))
    mixed = noisy_speech.evaluation_mixes(sides.test, "hiss", 0, count=4, seconds=3)
    score, ceiling = (
        denoise_evaluation.score(mixed, way) for way in (gains, denoise_evaluation.ideal)
    )
    assert 2 < score.gain < ceiling.gain
    nothing = denoise_evaluation.score(mixed, None)
    assert nothing.gain == 0 and nothing.stoi < ceiling.stoi <= 1


# The step of an output, 2^-15 or 2^-8, and the rounding of weights of 8 bits, which is the same in
# both files: 0.003 of a gain here.
@pytest.mark.parametrize(("activations", "tolerance"), [("int16", 0.01), ("int8", 0.06)])
def test_file_runs_frame_by_frame_as_keras(trained, activations, tolerance):
    model, x = trained
    tflite = denoiser.to_file(model, x[:8], activations)
    assert Interpreter(tflite).inputs[0].shape == (1, 1, bands.BANDS)
    gains = denoiser.in_tflm(tflite)
    expected = denoiser.in_float(model)(x[:4])
    assert np.abs(gains(x[:4]) - expected).max() < tolerance
    np.testing.assert_array_equal(gains(x[:4])[2], gains(x[2:3])[0])  # a reset before each stream
    assert 0 < denoiser.constants(tflite) < len(tflite)


def test_example(folder, tmp_path):
    given = f"--data_dir={folder}", f"--output_dir={tmp_path}"
    printed = run_main(example.main, *given, "--mixes=8", "--epochs=3", "--tests=1")
    assert "the same, int16 in TFLM" in printed
    assert Interpreter((tmp_path / "denoise.tflite").read_bytes()).inputs[0].shape == (1, 1, 22)
    sounds = {name: soundfile.read(tmp_path / f"{name}.wav") for name in ("noisy", "clean")}
    assert {rate for _, rate in sounds.values()} == {SAMPLE_RATE}
    (noisy, _), (clean, _) = sounds.values()
    # int16 would saturate beyond full scale; this mix stays within.
    assert denoise_evaluation.si_sdr(noisy, clean) == pytest.approx(5, abs=0.1)
    denoised, _ = soundfile.read(tmp_path / "denoised.wav")
    assert denoised.shape == clean.shape
    assert (tmp_path / "denoise.png").read_bytes().startswith(b"\x89PNG")


def test_no_data(tmp_path):
    says_where_the_archive_is(example.main, tmp_path)


def test_figures_and_tables():
    def scores(gain):
        def by_snr(gain):
            return {str(snr): denoise_evaluation.Score(gain - snr / 10, 0.8) for snr in (0, 5, 10)}

        return {"hiss": by_snr(gain), "hum": by_snr(gain + 2), UNSEEN: by_snr(gain - 3)}

    names = benchmark.FLOAT, benchmark.INT16, benchmark.INT8, benchmark.GRU, benchmark.IDEAL
    seeds = [
        {"as heard": scores(0)}
        | {
            name: scores(gain + seed)
            for name, gain in zip(names, (8, 7.98, 7, 8.2, 13), strict=True)
        }
        for seed in (0, 1)
    ]
    figures = benchmark.figures(seeds)
    assert figures["denoise_gain_db"] == pytest.approx(9.5)
    assert figures["denoise_less_than_gru_db"] == pytest.approx(0.2)
    assert figures["denoise_int16_loss_db"] == pytest.approx(0.02)
    assert figures["denoise_unseen_gain_db"] == pytest.approx(5.5)
    header, _, *rows, _, runs = pages.ways({"seeds": seeds}).splitlines()
    assert runs == "Trainings of each model: 2."
    assert (
        rows[1] == ("| FastGRNN, float | 9.50 | 9.00 | 8.50 | 5.50 | 5.00 | 4.50 | 0.800 |")
        and len(rows) == 6
    )
    assert "| exercise bike | 5.50 |" in pages.noises({"seeds": seeds})


def test_mix_is_what_is_heard(rng):
    mixed = Mix(*rng.normal(size=(2, 1, 1600)))
    way = denoise_evaluation.by_features(lambda x: np.ones_like(x))
    np.testing.assert_allclose(denoise_evaluation.denoise(mixed, way), sum(mixed), atol=1e-12)
