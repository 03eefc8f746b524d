"""The flag that names a tree of TFLite Micro."""

from absl import flags

TFLM_DIR = flags.DEFINE_string("tflm_dir", "", "Folder of TFLite Micro's sources; docs/tflm.md.")
