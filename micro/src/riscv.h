/* RISC-V: there are registers for two columns of four rows, and loads have constant offsets but do
 * not move their pointer. */
#ifndef FASTGRNN_RISCV_H_
#define FASTGRNN_RISCV_H_

#define add_four_rows add_four_rows

static inline void add_four_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in,
                                 int32_t* p) {
  const unsigned cols = m->cols, shift = m->shift;
  const int8_t *row_0 = c->values, *row_1 = row_0 + cols, *row_2 = row_1 + cols,
               *row_3 = row_2 + cols;
  const int16_t* const end = in + cols / 2 * 2;
  int32_t sum_0 = 0, sum_1 = 0, sum_2 = 0, sum_3 = 0;
  c->values = row_3 + cols;
  for (; in != end; in += 2, row_0 += 2, row_1 += 2, row_2 += 2, row_3 += 2) {
    const int32_t x_0 = in[0], x_1 = in[1];
    sum_0 += row_0[0] * x_0 + row_0[1] * x_1;
    sum_1 += row_1[0] * x_0 + row_1[1] * x_1;
    sum_2 += row_2[0] * x_0 + row_2[1] * x_1;
    sum_3 += row_3[0] * x_0 + row_3[1] * x_1;
  }
  if (cols % 2 != 0) {
    const int8_t* last = c->values - 1; /* of the fourth row */
    const int32_t x = *in;
    sum_3 += *last * x;
    sum_2 += *(last -= cols) * x;
    sum_1 += *(last -= cols) * x;
    sum_0 += *(last -= cols) * x;
  }
  p[0] = add_rounded(p[0], sum_0, shift);
  p[1] = add_rounded(p[1], sum_1, shift);
  p[2] = add_rounded(p[2], sum_2, shift);
  p[3] = add_rounded(p[3], sum_3, shift);
}

#endif /* FASTGRNN_RISCV_H_ */
