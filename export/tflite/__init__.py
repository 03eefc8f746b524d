"""The .tflite file: the output of TensorFlow's converter, and the operators we add.

Nothing here knows the inside of a cell.
"""
