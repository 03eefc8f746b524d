"""The integer cell: its float original, its ranges and formats, its integers, and their bytes.

Nothing here knows of a .tflite file.
"""
