/* An AVR that has MUL. GCC calls a library function for most of this arithmetic, and keeps 32 bits
 * of values that have 16.
 *
 * A model that is written as C has constant parameters, so the always_inline functions often know
 * their shift, and fit their instructions to it. Otherwise inline assembler calls a routine; its
 * operands name the registers that the routine changes. All of it leaves r1 at 0, as GCC wants. */
#ifndef FASTGRNN_AVR_H_
#define FASTGRNN_AVR_H_

#define round_shift round_shift
#define add_rounded add_rounded
#define round_high round_high
#define saturate16 saturate16
#define round_saturate round_saturate
#define multiply16 multiply16
#define multiply multiply
#define multiply_unsigned multiply_unsigned
#define sigmoid sigmoid
#define tanh16 tanh16
#define set_rows set_rows
#define add_rows add_rows
#define BLOCK 1
#define ONE_UPDATE /* that of the usual cell alone takes 560 bytes more, and 1 % longer */

/* ---- Arithmetic ---- */

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE int16_t upper_half(int32_t v) {
  int16_t upper = (int16_t)((uint32_t)v >> 16);
  __asm__("" : "+r"(upper)); /* or GCC keeps all of v */
  return upper;
}

/* r22-r25 / 2^r18, rounded half up. Changes r18 and r0. */
__attribute__((naked, noinline)) static void round_shift_routine(void) {
  __asm__(
      "clr r0\n"
      "1: subi r18, 8\n brlo 2f\n"
      "mov r0, r22\n mov r22, r23\n mov r23, r24\n mov r24, r25\n lsl r25\n sbc r25, r25\n"
      "rjmp 1b\n"
      "2: subi r18, -8\n brne 3f\n"
      "lsl r0\n rjmp 4f\n"
      "3: asr r25\n ror r24\n ror r23\n ror r22\n dec r18\n brne 3b\n"
      /* The carry is the last bit that fell out. */
      "4: adc r22, r1\n adc r23, r1\n adc r24, r1\n adc r25, r1\n ret");
}

/* p += v / 2^n, rounded half up, of the bytes p0 to p3 and v0 to v3; n is the name of a constant
 * operand. The carry is the last bit that is shifted out. Changes v and r0. */
#define OP(op, a, b) op " " a ", " b "\n"
#define ADC4(p0, p1, p2, p3, v0, v1, v2, v3) \
  OP("adc", p0, v0) OP("adc", p1, v1) OP("adc", p2, v2) OP("adc", p3, v3)
#define ADD_ROUNDED(n, p0, p1, p2, p3, v0, v1, v2, v3) \
  ".if %" n " == 0\n" OP("add", p0, v0) OP("adc", p1, v1) OP("adc", p2, v2) OP("adc", p3, v3) \
  ".elseif %" n " %% 8 == 7\n" /* once to the left, and a byte more to the right */ \
  "lsl " v0 "\n rol " v1 "\n rol " v2 "\n rol " v3 "\n sbc r0, r0\n" \
  ".if %" n " == 7\n lsl " v0 "\n" ADC4(p0, p1, p2, p3, v1, v2, v3, "r0") \
  ".elseif %" n " == 15\n lsl " v1 "\n" ADC4(p0, p1, p2, p3, v2, v3, "r0", "r0") \
  ".else\n lsl " v2 "\n" ADC4(p0, p1, p2, p3, v3, "r0", "r0", "r0") ".endif\n" \
  ".elseif %" n " < 8\n" \
  ".rept %" n "\n asr " v3 "\n ror " v2 "\n ror " v1 "\n ror " v0 "\n .endr\n" \
  ADC4(p0, p1, p2, p3, v0, v1, v2, v3) \
  ".elseif %" n " < 16\n" \
  ".rept %" n " - 8\n asr " v3 "\n ror " v2 "\n ror " v1 "\n .endr\n" \
  ".if %" n " == 8\n lsl " v0 "\n .endif\n" \
  ADC4(p0, p1, p2, p3, v1, v2, v3, "r1") "sbrc " v3 ", 7\n dec " p3 "\n" \
  ".else\n mov r0, " v3 "\n lsl r0\n sbc r0, r0\n" \
  ".if %" n " < 24\n .rept %" n " - 16\n asr " v3 "\n ror " v2 "\n .endr\n" \
  ".if %" n " == 16\n lsl " v1 "\n .endif\n" ADC4(p0, p1, p2, p3, v2, v3, "r0", "r0") \
  ".else\n .rept %" n " - 24\n asr " v3 "\n .endr\n" \
  ".if %" n " == 24\n lsl " v2 "\n .endif\n" ADC4(p0, p1, p2, p3, v3, "r0", "r0", "r0") \
  ".endif\n .endif\n"

/* sum + v / 2^n, rounded half up. */
ALWAYS_INLINE int32_t add_rounded(int32_t sum, int32_t v, unsigned n) {
  if (__builtin_constant_p(n)) {
    __asm__(ADD_ROUNDED("[n]", "%A0", "%B0", "%C0", "%D0", "%A1", "%B1", "%C1", "%D1")
            : "+r"(sum), "+r"(v)
            : [n] "n"(n));
    return sum;
  } else {
    register int32_t shifted __asm__("r22") = v;
    register uint8_t shift __asm__("r18") = (uint8_t)n;
    __asm__("%~call %x2" : "+r"(shifted), "+r"(shift) : "i"(round_shift_routine));
    return sum + shifted;
  }
}

ALWAYS_INLINE int32_t round_shift(int32_t v, unsigned n) {
  return __builtin_constant_p(n) && n == 0 ? v : add_rounded(0, v, n);
}

ALWAYS_INLINE int16_t saturate16(int32_t v) {
  __asm__(
      "mov r0, %B0\n lsl r0\n sbc r0, r0\n cp %C0, r0\n cpc %D0, r0\n breq 1f\n"
      "ldi %A0, 0xff\n ldi %B0, 0x7f\n lsl %D0\n adc %A0, r1\n adc %B0, r1\n 1:"
      : "+d"(v));
  return (int16_t)v;
}

/* v / 2^n, rounded half up, then saturated. */
ALWAYS_INLINE int16_t round_saturate(int32_t v, unsigned n) {
  if (!__builtin_constant_p(n) || n != 15) return saturate16(round_shift(v, n));
  /* What changes its sign in the one shift to the left is too large. */
  __asm__(
      "subi %B0, 0xc0\n sbci %C0, 0xff\n sbci %D0, 0xff\n lsl %B0\n rol %C0\n rol %D0\n"
      "brvc 1f\n lsl %D0\n ldi %C0, 0x00\n ldi %D0, 0x80\n sbc %C0, r1\n sbc %D0, r1\n 1:"
      : "+d"(v));
  return (int16_t)(v >> 16);
}

/* The upper half of v, rounded half up. */
ALWAYS_INLINE int16_t round_high(int32_t v) { return upper_half(v + 0x8000); }

/* clang-format off */

/* p = a * b, of the bytes p0 to p3, a0, a1, b0 and b1: of the upper bytes by the instruction
 * high_high, of that of b and the lower one of a by high_low, of that of a and the lower one of b
 * by low_high. A signed product of 16 bits is extended. Changes r0 and r1. */
#define PRODUCT(high_high, high_low, extend_high_low, low_high, extend_low_high, p0, p1, p2, p3, \
                a0, a1, b0, b1, zero)                                                            \
  OP(high_high, b1, a1) OP("movw", p2, "r0") OP("mul", b0, a0) OP("movw", p0, "r0")              \
  OP(high_low, b1, a0) extend_high_low(p3, zero)                                                 \
  OP("add", p1, "r0") OP("adc", p2, "r1") OP("adc", p3, zero)                                    \
  OP(low_high, a1, b0) extend_low_high(p3, zero)                                                 \
  OP("add", p1, "r0") OP("adc", p2, "r1") OP("adc", p3, zero)
#define EXTEND(p3, zero) OP("sbc", p3, zero)
#define KEEP(p3, zero)

/* Of two signed numbers, of an unsigned a and a signed b, of two unsigned numbers. */
#define SIGNED_PRODUCT(...) PRODUCT("muls", "mulsu", EXTEND, "mulsu", EXTEND, __VA_ARGS__)
#define MIXED_PRODUCT(...) PRODUCT("mulsu", "mulsu", EXTEND, "mul", KEEP, __VA_ARGS__)
#define UNSIGNED_PRODUCT(...) PRODUCT("mul", "mul", KEEP, "mul", KEEP, __VA_ARGS__)
#define OPERANDS "%A0", "%B0", "%C0", "%D0", "%A2", "%B2", "%A3", "%B3", "%1"

/* clang-format on */

ALWAYS_INLINE int32_t multiply16(int16_t a, int16_t b) {
  int32_t product;
  uint8_t zero;
  __asm__("clr %1\n" SIGNED_PRODUCT(OPERANDS) "clr r1"
          : "=&r"(product), "=&r"(zero)
          : "a"(a), "a"(b));
  return product;
}

static inline int32_t multiply(int32_t a, int16_t b) {
  int32_t product;
  uint8_t zero;
  __asm__("clr %1\n" MIXED_PRODUCT(OPERANDS) "clr r1"
          : "=&r"(product), "=&r"(zero)
          : "a"((uint16_t)a), "a"(b));
  if (a < 0) __asm__("sub %C0, %A1\n sbc %D0, %B1" : "+r"(product) : "r"(b));
  return product;
}

static inline int32_t multiply_unsigned(int32_t a, uint16_t b) {
  int32_t product;
  uint8_t zero;
  __asm__("clr %1\n" UNSIGNED_PRODUCT(OPERANDS) "clr r1"
          : "=&r"(product), "=&r"(zero)
          : "r"((uint16_t)a), "r"(b));
  if (a < 0) __asm__("sub %C0, %A1\n sbc %D0, %B1" : "+r"(product) : "r"(b));
  return product;
}

/* clang-format off */

/* The sigmoid of r22-r25 into r24-r25: a magnitude, then its interpolation, then SIGMOID_SIGN. T is
 * the sign. A magnitude not below limit, the upper byte of the largest one, goes to 4. */
#define MAGNITUDE          \
  "bst r25, 7\n brtc 1f\n" \
  "com r25\n com r24\n com r23\n neg r22\n sbci r23, -1\n sbci r24, -1\n sbci r25, -1\n 1:\n"

#define CHECK(limit) "cpi r23, " limit "\n cpc r24, r1\n cpc r25, r1\n"
#define BELOW(limit) CHECK(limit) "brlo 5f\n 4: ldi r24, 0\n ldi r25, 0x80\n rjmp 7f\n"

/* Both in one. A negative number is compared before 1 is added to its complement: then the lower 16
 * bits may be the limit itself, of which the table gives 1.0 as well. */
#define MAGNITUDE_BELOW(limit)            \
  "bst r25, 7\n brts 2f\n" BELOW(limit) \
  "2: com r25\n com r24\n com r23\n" CHECK(limit) "brsh 4b\n neg r22\n sbci r23, -1\n"

/* The entry of the table at r30, and the difference to the next one, of 10 bits, in r18-r19. */
#define ENTRY                                                                              \
  "ldi r31, 0\n subi r30, lo8(-(%[table]))\n sbci r31, hi8(-(%[table]))\n"                 \
  "lpm r24, Z+\n lpm r25, Z+\n lpm r18, Z+\n lpm r19, Z\n sub r18, r24\n sbc r19, r25\n"

/* Of a fraction of 9 bits. r20-r21 are its product without the lowest byte; the carry rounds. */
#define INTERPOLATE                                                                       \
  "5: mov r30, r23\n andi r30, 0xfe\n" ENTRY                                              \
  "mul r19, r22\n movw r20, r0\n mul r18, r22\n add r20, r1\n clr r1\n adc r21, r1\n" \
  "sbrs r23, 0\n rjmp 6f\n add r20, r18\n adc r21, r19\n"                              \
  "6: lsr r21\n ror r20\n adc r24, r20\n adc r25, r21\n 7:\n"

/* At twice the magnitude, which leaves 8 bits of the fraction. */
#define INTERPOLATE_TWICE                                          \
  "5: mov r30, r23\n lsl r30\n" ENTRY                              \
  "mul r19, r22\n add r24, r0\n adc r25, r1\n"                    \
  "mul r18, r22\n lsl r0\n adc r24, r1\n clr r1\n adc r25, r1\n 7:\n"

#define SIGMOID_SIGN "brtc 1f\n com r25\n neg r24\n sbci r25, 0x7f\n 1:\n"
#define SIGMOID MAGNITUDE_BELOW("0x80") INTERPOLATE SIGMOID_SIGN
#define TANH                                                                               \
  MAGNITUDE_BELOW("0x40") INTERPOLATE_TWICE                                                \
  "subi r25, 0x40\n lsl r24\n rol r25\n brts 1f\n brpl 2f\n sbiw r24, 1\n rjmp 2f\n"       \
  "1: com r25\n neg r24\n sbci r25, 0xff\n 2:\n"

/* The sigmoid of r22-r25 * 2^r20. */
__attribute__((naked, noinline)) static void sigmoid_routine(void) {
  __asm__(MAGNITUDE
          "tst r20\n breq 3f\n"
          "2: lsl r22\n rol r23\n rol r24\n rol r25\n brmi 4f\n dec r20\n brne 2b\n 3:\n"
          BELOW("0x80")
          INTERPOLATE
          SIGMOID_SIGN
          "ret" ::[table] "i"(fastgrnn_sigmoid_table));
}

/* clang-format on */

ALWAYS_INLINE int32_t sigmoid(int32_t p, unsigned n) {
  register int32_t v __asm__("r22") = p;
  uint16_t y;
  if (__builtin_constant_p(n) && n == 0) {
    __asm__(SIGMOID
            : "+r"(v)
            : [table] "i"(fastgrnn_sigmoid_table)
            : "r18", "r19", "r20", "r21", "r30", "r31");
  } else {
    register uint8_t shift __asm__("r20") = (uint8_t)n;
    __asm__("%~call %x[routine]"
            : "+r"(v), "+r"(shift)
            : [routine] "i"(sigmoid_routine)
            : "r18", "r19", "r21", "r30", "r31");
  }
  y = (uint16_t)((uint32_t)v >> 16);
  return y;
}

ALWAYS_INLINE int16_t tanh16(int32_t p, unsigned n) {
  register int32_t v __asm__("r22") = p;
  if (!__builtin_constant_p(n) || n != 0) return saturate16(2 * sigmoid(p, n + 1) - 32768);
  __asm__(TANH
          : "+r"(v)
          : [table] "i"(fastgrnn_sigmoid_table)
          : "r18", "r19", "r20", "r21", "r30", "r31");
  return upper_half(v);
}

/* ---- The update of a unit, in a model that is written as C ---- */

#ifdef FASTGRNN_KERNEL_H_
#define fast_update fast_update

/* clang-format off */

/* r22-r25 = p + the bias at Z. */
#define ADD_BIAS                                                                   \
  "movw r22, %A[p]\n movw r24, %C[p]\n lpm r18, Z+\n lpm r19, Z\n"                 \
  "add r22, r18\n adc r23, r19\n adc r24, r1\n adc r25, r1\n sbrc r19, 7\n sbiw r24, 1\n"

/* r20-r23 -= r24-r25 * r18-r19. r30 is 0. */
#define SUBTRACT_PRODUCT                                                     \
  "mul r25, r19\n sub r22, r0\n sbc r23, r1\n"                               \
  "mul r24, r18\n sub r20, r0\n sbc r21, r1\n sbc r22, r30\n sbc r23, r30\n" \
  "mul r24, r19\n sub r21, r0\n sbc r22, r1\n sbc r23, r30\n"                \
  "mul r25, r18\n sub r21, r0\n sbc r22, r1\n sbc r23, r30\n"

/* fast_update() takes the usual cells of which the compiler knows all numbers. */
#define is_usual(params) \
  (__builtin_constant_p((params)->zeta) && (params)->bias_shift == 0 && is_usual(params))

/* It changes the registers that a row changes, so that GCC has the others for what lives from unit
 * to unit. */
ALWAYS_INLINE void fast_update(const fastgrnn_params* params, const int32_t* p, unsigned i,
                               unsigned n, int16_t* state) {
  register int32_t sum __asm__("r12") = *p;
  const FASTGRNN_FLASH uint8_t* const bias = params->bias + 2 * i;
  (void)n; /* BLOCK */
  state += i;
  __asm__ volatile(
      /* c, to r10-r11 */
      "movw r30, %[bias]\n subi r30, lo8(-(2 * %[units]))\n sbci r31, hi8(-(2 * %[units]))\n"
      ADD_BIAS TANH "movw r10, r24\n"
      /* z, in r24-r25 and r20-r21 */
      "movw r30, %[bias]\n" ADD_BIAS SIGMOID "movw r20, r24\n"
      /* r12-r15 = z * h */
      "movw r30, %[state]\n ld r18, Z\n ldd r19, Z + 1\n clr r30\n"
      MIXED_PRODUCT("r12", "r13", "r14", "r15", "r20", "r21", "r18", "r19", "r30")
      /* m, in r22-r23 */
      "ldi r18, lo8(%[zeta])\n ldi r19, hi8(%[zeta])\n"
      "ldi r20, lo8(%[most])\n ldi r21, hi8(%[most])\n"
      "ldi r22, hlo8(%[most])\n ldi r23, hhi8(%[most])\n"
      SUBTRACT_PRODUCT
      /* r12-r15 += m * c */
      "movw r20, r10\n"
      SIGNED_PRODUCT("r18", "r19", "r24", "r25", "r22", "r23", "r20", "r21", "r30") "clr r1\n"
      ADD_ROUNDED("[mix_shift]", "r12", "r13", "r14", "r15", "r18", "r19", "r24", "r25")
      /* What changes its sign in the shift to the left, or by the rounding, is too large. */
      "lsl r13\n rol r14\n rol r15\n brvs 1f\n lsl r13\n adc r14, r1\n adc r15, r1\n brvc 2f\n"
      "1: ldi r24, 0xff\n ldi r25, 0x7f\n adc r24, r1\n adc r25, r1\n movw r14, r24\n"
      "2: movw r30, %[state]\n st Z, r14\n std Z + 1, r15"
      : [p] "+r"(sum)
      : [bias] "r"(bias), [state] "r"(state), [units] "n"(params->units),
        [zeta] "n"(params->zeta), [mix_shift] "n"(params->mix_shift),
        /* zeta (1 - z) + nu where z is 0, and a half for the rounding */
        [most] "n"((int32_t)params->zeta * 32768 + (int32_t)params->nu + 32768),
        [table] "i"(fastgrnn_sigmoid_table)
      : "r10", "r11", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r30", "r31",
        "memory");
}

/* clang-format on */

#endif

/* ---- Rows of a matrix ---- */

/* The cursor's bits are what is left of a byte of a bitmap, and a 1 above it. */
#define FIRST_BITS 1

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

/* The weight at Z times the int16 at Y + at; h0 to h2 are the sum of the upper byte. The carry
 * after a product is its sign. */
#define MULTIPLY_ADD_TO(at, h0, h1, h2, zero)                      \
  "lpm r18, Z+\n ldd r19, Y + " at                                 \
  "\n mulsu r18, r19\n"                                            \
  "sbc r24, " zero "\n add r22, r0\n adc r23, r1\n adc r24, " zero \
  "\n"                                                             \
  "ldd r19, Y + " at                                               \
  " + 1\n muls r18, r19\n"                                         \
  "sbc " h2 ", " zero "\n add " h0 ", r0\n adc " h1 ", r1\n adc " h2 ", " zero "\n"

#define MULTIPLY_ADD(at) MULTIPLY_ADD_TO(at, "r14", "r15", "r25", "r12")

#define READ_INDEX(to) \
  "movw r0, r30\n movw r30, r26\n lpm " to ", Z+\n movw r26, r30\n movw r30, r0\n"

ROW_ROUTINE dense_routine(void) {
  __asm__(START "1:\n" MULTIPLY_ADD("0") "adiw r28, 2\n dec r21\n brne 1b\n" END "ret");
}

ROW_ROUTINE pairs_routine(void) {
  __asm__(START READ_INDEX("r21")
          "tst r21\n breq 2f\n push r26\n push r27\n movw r26, r18\n"
          "1: lpm r18, Z+\n movw r28, r26\n"
          "add r28, r18\n adc r29, r12\n add r28, r18\n adc r29, r12\n"
          MULTIPLY_ADD("0") "dec r21\n brne 1b\n"
          "pop r27\n pop r26\n 2:\n" END "ret");
}

/* The weights of a byte of a bitmap, times the vector at Y + at. */
#define MULTIPLY_ADD_IF(bits, at, multiply_add) "lsr " bits "\n brcc 1f\n" multiply_add(at) "1:\n"
#define EIGHT(bits, at, multiply_add)             \
  MULTIPLY_ADD_IF(bits, at " + 0", multiply_add)  \
  MULTIPLY_ADD_IF(bits, at " + 2", multiply_add)  \
  MULTIPLY_ADD_IF(bits, at " + 4", multiply_add)  \
  MULTIPLY_ADD_IF(bits, at " + 6", multiply_add)  \
  MULTIPLY_ADD_IF(bits, at " + 8", multiply_add)  \
  MULTIPLY_ADD_IF(bits, at " + 10", multiply_add) \
  MULTIPLY_ADD_IF(bits, at " + 12", multiply_add) \
  MULTIPLY_ADD_IF(bits, at " + 14", multiply_add)

/* Eight weights at once where they are a byte of the bitmap, else one after another. */
ROW_ROUTINE bitmap_routine(void) {
  __asm__(START
          "2: cpi r20, 1\n brne 3f\n cpi r21, 8\n brsh 5f\n"
          "3: lsr r20\n brne 1f\n" READ_INDEX("r20") "sec\n ror r20\n"
          "1: brcc 1f\n" MULTIPLY_ADD("0")
          "1: dec r21\n breq 4f\n adiw r28, 2\n cpi r20, 1\n brne 3b\n rjmp 2b\n"
          "4:\n" END "ret\n"
          "5:\n" READ_INDEX("r20")
          EIGHT("r20", "0", MULTIPLY_ADD)
          "subi r21, 8\n breq 6f\n adiw r28, 16\n cpi r21, 8\n brlo 1f\n rjmp 5b\n"
          "1: rjmp 3b\n"
          "6: inc r20\n" END "ret");
}

/* A row of blocks: four weights of each whose bit is 1, Z moving on by the block's 16. */
ROW_ROUTINE block_routine(void) {
  __asm__(START
          "1: lsr r20\n brne 2f\n" READ_INDEX("r20") "sec\n ror r20\n"
          "2: brcc 3f\n cpi r21, 4\n brsh 2f\n rjmp 5f\n 2:\n"
          MULTIPLY_ADD("0") MULTIPLY_ADD("2") MULTIPLY_ADD("4") MULTIPLY_ADD("6")
          "adiw r30, 12\n"
          "3: adiw r28, 8\n subi r21, 4\n breq 4f\n brcs 4f\n rjmp 1b\n"
          "4:\n" END "ret\n"
          "5: ldi r18, 16\n sub r18, r21\n push r18\n" /* fewer than four columns */
          "6:\n" MULTIPLY_ADD("0") "adiw r28, 2\n dec r21\n brne 6b\n"
          "pop r18\n add r30, r18\n adc r31, r12\n" END "ret");
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
  return m->encoding == FASTGRNN_DENSE    ? call(dense_routine, c, in, cols)
         : m->encoding == FASTGRNN_BITMAP ? call(bitmap_routine, c, in, cols)
                                          : call(pairs_routine, c, in, cols);
}

/* Rows of a bitmap where the compiler knows their length and shift, as in a model that is written
 * as C: the routine in place, without what is not needed. The upper bytes are summed in r12-r14,
 * where the shifted sum is left, in r12-r15. Until its end r15 is 0. */
#define FIXED_ADD(at) MULTIPLY_ADD_TO(at, "r12", "r13", "r14", "r15")

#define FIXED_START                          \
  "movw r10, r28\n movw r28, r18\n clr r0\n" \
  "movw r12, r0\n movw r14, r0\n movw r22, r0\n clr r24\n"

#define FIXED_END                                                                  \
  "sbrc r24, 7\n dec r14\n"                                                        \
  ".if %[shift] == 8\n lsl r22\n adc r12, r23\n .else\n add r12, r23\n .endif\n"   \
  "adc r13, r24\n adc r14, r15\n"                                                  \
  ".if %[shift] > 8\n .rept %[shift] - 8\n asr r14\n ror r13\n ror r12\n .endr\n"  \
  "adc r12, r15\n adc r13, r15\n adc r14, r15\n .endif\n"                          \
  "sbrc r14, 7\n dec r15\n clr r1\n"                                               \
  ".if %[shift] < 8\n"                                                             \
  ".rept 8 - %[shift]\n lsl r22\n rol r12\n rol r13\n rol r14\n rol r15\n .endr\n" \
  "lsl r22\n adc r12, r1\n adc r13, r1\n adc r14, r1\n adc r15, r1\n .endif\n"     \
  "movw r28, r10\n"

#define FIXED_ROW(code, ...)                                            \
  __asm__ volatile(FIXED_START code FIXED_END                           \
                   : "=r"(sum), "+z"(values), "+r"(vector), __VA_ARGS__ \
                   : [cols] "n"(m->cols), [shift] "n"(m->shift)         \
                   : "r10", "r11", "r22", "r23", "r24", "memory")

/* Up to seven weights. At the start of a row of 1, 2 or 4 alone can a byte of the bitmap end. */
#define BIT(at) \
  ".if %[cols] > " at " / 2\n lsr r20\n .if " at " == 0 || 8 %% %[cols]\n" \
  "brne 1f\n" READ_INDEX("r20") "sec\n ror r20\n 1:\n .endif\n"            \
  "brcc 1f\n" FIXED_ADD(at) "1:\n .endif\n"
#define BITS BIT("0") BIT("2") BIT("4") BIT("6") BIT("8") BIT("10") BIT("12")

ALWAYS_INLINE int32_t fixed_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in) {
  const FASTGRNN_FLASH int8_t* values = c->values;
  register const int16_t* vector __asm__("r18") = in;
  register int32_t sum __asm__("r12");
  if (m->cols < 8) {
    register const FASTGRNN_FLASH uint8_t* index __asm__("r26") = c->index;
    register uint8_t bits __asm__("r20") = c->bits;
    FIXED_ROW(BITS, "+r"(bits), "+r"(index));
    c->index = index;
    c->bits = bits;
  } else if (m->cols == 8) {
    register uint8_t bits __asm__("r20") = *c->index++;
    FIXED_ROW(EIGHT("r20", "0", FIXED_ADD), "+r"(bits));
  } else {
    register uint8_t bits __asm__("r20") = *c->index++, more __asm__("r21") = *c->index++;
    FIXED_ROW(EIGHT("r20", "0", FIXED_ADD) EIGHT("r21", "16", FIXED_ADD), "+r"(bits), "+r"(more));
  }
  c->values = values;
  /* At -Os GCC counts the uses of a variable, not how often each runs. One more gives this pointer
   * a register in place of one that changes in no row. */
  __asm__("" : "+r"(c->values));
  return sum;
}

/* The cursor stays at its blocks for four rows, which its bits count. */
static int32_t block_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in) {
  cursor row = {c->index, c->values + 4 * c->bits, 1};
  unsigned left = m->cols;
  int32_t sum = 0;
  for (; left > 224; left -= 224, in += 224, row.bits = 1) { /* whole bytes of bits */
    sum += call(block_routine, &row, in, 224);
  }
  sum += call(block_routine, &row, in, left);
  if (++c->bits == 4) {
    c->index = row.index;
    c->values = row.values - 12;
    c->bits = 0;
  }
  return sum;
}

ALWAYS_INLINE int32_t add_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in, int32_t p) {
  unsigned left = m->cols;
  int32_t sum = 0;
  if (m->encoding == FASTGRNN_BLOCKS) return add_rounded(p, block_row(m, c, in), m->shift);
  if (m->encoding == FASTGRNN_BITMAP && __builtin_constant_p(m->cols) &&
      __builtin_constant_p(m->shift) && (m->cols <= 8 || m->cols == 16)) {
    return p + fixed_row(m, c, in);
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

#endif /* FASTGRNN_AVR_H_ */
