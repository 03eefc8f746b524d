/* The 16-bit instructions of Armv6-M (Cortex-M0, M0+, M1): eight registers are for anything, the
 * others for sums. */
#ifndef FASTGRNN_THUMB_H_
#define FASTGRNN_THUMB_H_

#define add_set add_set
#define add_rows add_rows
#define BLOCK 4

static inline int32_t add_set(uint32_t bits, const int8_t** next, const int16_t* in, int32_t sum) {
  const int8_t* values = *next;
  int32_t x, v;
  --in;
  __asm__ volatile(
      ".syntax unified\n"
      "1: adds %[in], #2\n lsrs %[bits], #1\n bcc 1b\n"
      "movs %[v], #0\n ldrsh %[x], [%[in], %[v]]\n ldrsb %[v], [%[values], %[v]]\n"
      "muls %[v], %[x]\n adds %[sum], %[v]\n adds %[values], #1\n"
      "cmp %[bits], #0\n"
      "bne 1b"
      : [bits] "+l"(bits), [values] "+l"(values), [in] "+l"(in), [sum] "+l"(sum), [x] "=&l"(x),
        [v] "=&l"(v)
      :
      : "cc", "memory");
  *next = values;
  return sum;
}

/* sum[i] = the i-th row times in, for n rows, 2 at least. An input is read once for four rows: of
 * fewer, some are computed twice. Not inlined, since it needs every register; the upper ones are
 * named, since GCC finds none at -Os. With & on the pointers it would find no lower ones either;
 * they need none, since no input has the value of a pointer. */
static __attribute__((noinline)) void dense_rows(const int8_t* row, unsigned cols,
                                                 const int16_t* in, unsigned n, int32_t* sum) {
  /* The rows are the first two and the last two. */
  const int8_t* row_2 = row + (n - 2) * cols;
  int32_t x, v;
  register int32_t a __asm__("r8") = 0;
  register int32_t b __asm__("r9") = 0;
  register int32_t c __asm__("r10") = 0;
  register int32_t d __asm__("r11") = 0;
  register const int16_t* const end __asm__("r12") = in + cols;
  __asm__ volatile(
      ".syntax unified\n"
      "1: ldrsh %[x], [%[in], %[zero]]\n"
      "ldrsb %[v], [%[row], %[zero]]\n muls %[v], %[x]\n add %[a], %[v]\n"
      "ldrsb %[v], [%[row], %[cols]]\n muls %[v], %[x]\n add %[b], %[v]\n"
      "ldrsb %[v], [%[row_2], %[cols]]\n muls %[v], %[x]\n add %[d], %[v]\n"
      "ldrsb %[v], [%[row_2], %[zero]]\n muls %[v], %[x]\n add %[c], %[v]\n"
      "adds %[in], #2\n adds %[row], #1\n adds %[row_2], #1\n"
      "cmp %[in], %[end]\n"
      "bne 1b"
      : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [in] "+l"(in), [row] "+l"(row),
        [row_2] "+l"(row_2), [x] "=&l"(x), [v] "=&l"(v)
      : [zero] "l"(0), [cols] "l"(cols), [end] "r"(end)
      : "cc", "memory");
  sum[n - 1] = d;
  sum[n - 2] = c;
  sum[1] = b;
  sum[0] = a;
}

static __attribute__((noinline)) int32_t sparse_row(const fastgrnn_matrix* m, cursor* c,
                                                    const int16_t* in) {
  return m->encoding == FASTGRNN_BITMAP ? bitmap_row(m, c, in) : pairs_row(c, in);
}

static void add_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                     int32_t* p) {
  int32_t sum[BLOCK];
  unsigned i;
  if (m->encoding == FASTGRNN_BLOCKS) {
    add_block_rows(m, c, in, n, p);
    return;
  }
  if (m->encoding == FASTGRNN_DENSE && n == 1) {
    sum[0] = dense_row(m, c, in); /* such as that of a head with one output */
  } else if (m->encoding == FASTGRNN_DENSE) {
    dense_rows(c->values, m->cols, in, n, sum);
    c->values += n * m->cols;
  } else {
    for (i = 0; i < n; ++i) sum[i] = sparse_row(m, c, in);
  }
  for (i = 0; i < n; ++i) p[i] += round_shift(sum[i], m->shift);
}

#endif /* FASTGRNN_THUMB_H_ */
