/* matrix.h for an AVR that has MUL: its rows in assembler. */
#ifndef FASTGRNN_MATRIX_AVR_H_
#define FASTGRNN_MATRIX_AVR_H_

#include "portable.h"

enum { BLOCK = 1 };

typedef struct {
  const FASTGRNN_FLASH uint8_t* index;
  const FASTGRNN_FLASH int8_t* values;
  uint8_t bits; /* what is left of the byte of a bitmap before the index, and a 1 above it */
} cursor;

static inline cursor first_row(const fastgrnn_matrix* m) {
  cursor c;
  c.index = m->index;
  c.values = m->values;
  c.bits = 1;
  return c;
}

/* A routine is a row of r21 weights, 1 to 255, times the vector at r18-r19; the sum is left in
 * r22-r25. Z are the values, X is the index and r20 the bits of a cursor, all moved on. It changes
 * r10-r12, r14, r15, r18, r19 and r21 as well. */
#define ROW_ROUTINE __attribute__((naked, noinline)) static void

/* Products of the lower byte of the vector are summed in r22-r24, of the upper one in r14, r15 and
 * r25: each sum of 255 products of two bytes has 24 bits. */
#define START                                              \
  "movw r10, r28\n movw r28, r18\n mov r12, r1\n clr r0\n" \
  "movw r22, r0\n movw r24, r0\n movw r14, r0\n"

#define END                                                                       \
  "sbrc r24, 7\n dec r25\n add r23, r14\n adc r24, r15\n adc r25, r12\n clr r1\n" \
  "movw r28, r10\n"

/* The weight at Z times the int16 at Y + low. The carry after a product is its sign. */
#define MULTIPLY_ADD(low, high)                               \
  "lpm r18, Z+\n ldd r19, Y + " #low                          \
  "\n mulsu r18, r19\n"                                       \
  "sbc r24, r12\n add r22, r0\n adc r23, r1\n adc r24, r12\n" \
  "ldd r19, Y + " #high                                       \
  "\n muls r18, r19\n"                                        \
  "sbc r25, r12\n add r14, r0\n adc r15, r1\n adc r25, r12\n"

#define READ_INDEX(to) \
  "movw r0, r30\n movw r30, r26\n lpm " to ", Z+\n movw r26, r30\n movw r30, r0\n"

ROW_ROUTINE dense_row(void) {
  __asm__(START "1:\n" MULTIPLY_ADD(0, 1) "adiw r28, 2\n dec r21\n brne 1b\n" END "ret");
}

ROW_ROUTINE pairs_row(void) {
  __asm__(START READ_INDEX("r21")
          "tst r21\n breq 2f\n push r26\n push r27\n movw r26, r18\n"
          "1: lpm r18, Z+\n movw r28, r26\n"
          "add r28, r18\n adc r29, r12\n add r28, r18\n adc r29, r12\n"
          MULTIPLY_ADD(0, 1) "dec r21\n brne 1b\n"
          "pop r27\n pop r26\n 2:\n" END "ret");
}

#define MULTIPLY_ADD_IF(low, high) "lsr r20\n brcc 1f\n" MULTIPLY_ADD(low, high) "1:\n"

#define EIGHT           \
  MULTIPLY_ADD_IF(0, 1) \
  MULTIPLY_ADD_IF(2, 3) \
  MULTIPLY_ADD_IF(4, 5) \
  MULTIPLY_ADD_IF(6, 7) \
  MULTIPLY_ADD_IF(8, 9) MULTIPLY_ADD_IF(10, 11) MULTIPLY_ADD_IF(12, 13) MULTIPLY_ADD_IF(14, 15)

#define NEXT_EIGHT        \
  MULTIPLY_ADD_IF(16, 17) \
  MULTIPLY_ADD_IF(18, 19) \
  MULTIPLY_ADD_IF(20, 21) \
  MULTIPLY_ADD_IF(22, 23) \
  MULTIPLY_ADD_IF(24, 25) MULTIPLY_ADD_IF(26, 27) MULTIPLY_ADD_IF(28, 29) MULTIPLY_ADD_IF(30, 31)

/* Eight weights at once where they are a byte of the bitmap, else one after another. */
ROW_ROUTINE bitmap_row(void) {
  __asm__(START
          "2: cpi r20, 1\n brne 3f\n cpi r21, 8\n brsh 5f\n"
          "3: lsr r20\n brne 1f\n" READ_INDEX("r20") "sec\n ror r20\n"
          "1: brcc 1f\n" MULTIPLY_ADD(0, 1)
          "1: dec r21\n breq 4f\n adiw r28, 2\n cpi r20, 1\n brne 3b\n rjmp 2b\n"
          "4:\n" END "ret\n"
          "5:\n" READ_INDEX("r20")
          EIGHT
          "subi r21, 8\n breq 6f\n adiw r28, 16\n cpi r21, 8\n brlo 1f\n rjmp 5b\n"
          "1: rjmp 3b\n"
          "6: inc r20\n" END "ret");
}

ALWAYS_INLINE int32_t call(void (*routine)(void), cursor* c, const int16_t* in, unsigned cols) {
  register const FASTGRNN_FLASH uint8_t* index __asm__("r26") = c->index;
  register const FASTGRNN_FLASH int8_t* values __asm__("r30") = c->values;
  register uint8_t bits __asm__("r20") = c->bits;
  register const int16_t* vector __asm__("r18") = in;
  register uint8_t left __asm__("r21") = (uint8_t)cols;
  register int32_t sum __asm__("r22");
  __asm__ volatile("%~call %x[routine]"
                   : "=r"(sum), "+r"(index), "+r"(values), "+r"(bits), "+r"(vector), "+r"(left)
                   : [routine] "i"(routine)
                   : "r10", "r11", "r12", "r14", "r15", "memory");
  c->index = index;
  c->values = values;
  c->bits = bits;
  return sum;
}

ALWAYS_INLINE int32_t next_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in,
                               unsigned cols) {
  return m->encoding == FASTGRNN_DENSE    ? call(dense_row, c, in, cols)
         : m->encoding == FASTGRNN_BITMAP ? call(bitmap_row, c, in, cols)
                                          : call(pairs_row, c, in, cols);
}

/* Rows of a bitmap where the compiler knows their length and shift, as in a model that is written
 * as C: the routine in place, without what is not needed. */
#define FIXED_END \
  END ADD_ROUNDED("[shift]", "%A[p]", "%B[p]", "%C[p]", "%D[p]", "r22", "r23", "r24", "r25")
#define FIXED_ROW(code, bits_constraint)                                                         \
  __asm__ volatile(START code FIXED_END                                                          \
                   : [p] "+r"(p), "+r"(index), "+r"(values), "+r"(vector), bits_constraint(bits) \
                   : [cols] "n"(m->cols), [shift] "n"(m->shift)                                  \
                   : "r10", "r11", "r12", "r14", "r15", "r22", "r23", "r24", "r25", "memory")
/* At the start of a row of 1, 2 or 4 weights alone can a byte of the bitmap end. */
#define BIT(low, high) \
  ".if %[cols] > " #low " / 2\n lsr r20\n .if " #low " == 0 || 8 %% %[cols]\n"                  \
  "brne 1f\n" READ_INDEX("r20") "sec\n ror r20\n 1:\n .endif\n"                                \
  "brcc 1f\n" MULTIPLY_ADD(low, high) "1:\n .endif\n"

ALWAYS_INLINE int32_t add_fixed_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in,
                                    int32_t p) {
  register const FASTGRNN_FLASH uint8_t* index __asm__("r26") = c->index;
  register const FASTGRNN_FLASH int8_t* values __asm__("r30") = c->values;
  register uint8_t bits __asm__("r20") = c->bits;
  register const int16_t* vector __asm__("r18") = in;
  if (m->cols < 8) {
    FIXED_ROW(BIT(0, 1) BIT(2, 3) BIT(4, 5) BIT(6, 7) BIT(8, 9) BIT(10, 11) BIT(12, 13), "+r");
    c->bits = bits;
  } else {
    FIXED_ROW(READ_INDEX("r20") EIGHT ".if %[cols] == 16\n" READ_INDEX("r20") NEXT_EIGHT ".endif\n",
              "=r");
  }
  c->index = index;
  c->values = values;
  return p;
}

ALWAYS_INLINE int32_t add_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in, int32_t p) {
  unsigned left = m->cols;
  int32_t sum = 0;
  if (m->encoding == FASTGRNN_BITMAP && __builtin_constant_p(m->cols) &&
      __builtin_constant_p(m->shift) && (m->cols <= 8 || m->cols == 16)) {
    return add_fixed_row(m, c, in, p);
  }
  if (left <= 255) return add_rounded(p, next_row(m, c, in, left), m->shift);
  for (; left > 255; left -= 248, in += 248) sum += next_row(m, c, in, 248); /* whole bytes */
  return add_rounded(p, sum + next_row(m, c, in, left), m->shift);
}

ALWAYS_INLINE void add_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                            int32_t* p) {
  (void)n;
  *p = add_row(m, c, in, *p);
}

ALWAYS_INLINE void set_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                            int32_t* p) {
  (void)n;
  *p = add_row(m, c, in, 0);
}

#endif /* FASTGRNN_MATRIX_AVR_H_ */
