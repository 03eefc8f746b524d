"""What the examples and the benchmarks share.

Data sets: hapt, speech_commands, and speech_streams, which plays its clips one after another; data
says where they lie. Sound: wav, front_end. Training: classifier for a class a sequence, activity
for the model of the first example; keyword_streams, keyword_targets and keyword_training for
keywords in a stream. Speech in noise: noisy_speech and bands, denoiser, denoise_evaluation,
spectrograms. Evaluation: keyword_evaluation, with detector, detection and listener, from a
model's logits to keywords found. Commands: command.
"""
