"""Code that examples and benchmarks share.

Commands: command, training_flags. Data sets: data for their folder, pypi, hapt, speech_commands.
Sound: front_end. Training: training for any model, classifier for one class a sequence.
The activities of HAPT: activity. Keywords: speech_streams plays clips one after another,
keyword_streams, keyword_targets and keyword_training train on them; keyword_evaluation, detector,
detection, det_curve and listener lead from logits to keywords. Speech in noise: noisy_speech,
bands, denoiser, denoise_evaluation, spectrograms.
"""
