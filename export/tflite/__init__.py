"""The .tflite file: what TensorFlow's converter makes of a model, and the operators we add.

Nothing here knows of the inside of a cell.
"""
