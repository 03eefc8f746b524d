/* Written by: python -m keras_fastgrnn.export.cell.sigmoid_table table. Do not edit. */
#ifndef FASTGRNN_SIGMOID_TABLE_H_
#define FASTGRNN_SIGMOID_TABLE_H_

#include "fastgrnn.h"

/* sigmoid(k / 8) in Q0.15, 1.0 = 32768; the last two are pinned to 1.0. */
static const FASTGRNN_FLASH uint16_t fastgrnn_sigmoid_table[66] = {
    16384, 17407, 18421, 19420, 20397, 21344, 22255, 23127, 23955, 24737, 25471,
    26155, 26790, 27377, 27917, 28411, 28862, 29272, 29644, 29979, 30282, 30555,
    30799, 31018, 31214, 31389, 31545, 31684, 31807, 31917, 32015, 32102, 32179,
    32247, 32307, 32361, 32408, 32450, 32487, 32520, 32549, 32574, 32597, 32617,
    32635, 32650, 32664, 32676, 32687, 32696, 32705, 32712, 32719, 32725, 32730,
    32734, 32738, 32742, 32745, 32747, 32750, 32752, 32754, 32756, 32768, 32768};

#endif /* FASTGRNN_SIGMOID_TABLE_H_ */
