/* Xtensa LX106, the ESP8266's core, under QEMU: simulator calls, and CCOUNT as the counter.
 *
 * CCOUNT advances by CCOUNT_HZ of the board's time, in which an instruction takes 1,024 ns: each
 * one is ten counts or more, so that none is lost. */
#include "start.h"

enum { SYS_EXIT = 1, SYS_WRITE = 4, STANDARD_OUTPUT = 1, NANOSECONDS = 1024 };

static void simulator_call(uint32_t operation, uint32_t first, const void* second, uint32_t third) {
  register uint32_t a2 __asm__("a2") = operation;
  register uint32_t a3 __asm__("a3") = first;
  register const void* a4 __asm__("a4") = second;
  register uint32_t a5 __asm__("a5") = third;
  __asm__ volatile("simcall" : "+r"(a2), "+r"(a3) : "r"(a4), "r"(a5) : "memory");
}

void board_write(const char* text) {
  uint32_t length = 0;
  while (text[length]) ++length;
  simulator_call(SYS_WRITE, STANDARD_OUTPUT, text, length);
}

void board_exit(int status) { simulator_call(SYS_EXIT, (uint32_t)status, 0, 0); }

static uint32_t started;

static uint32_t counts(void) {
  uint32_t count;
  __asm__ volatile("rsr %0, ccount" : "=r"(count)::"memory");
  return count;
}

void board_start(void) { started = counts(); }

uint32_t board_stop(void) {
  const uint64_t count = counts() - started;
  const uint64_t nanoseconds = count * (UINT64_C(1000000000) / CCOUNT_HZ);
  return (uint32_t)((nanoseconds + NANOSECONDS / 2) / NANOSECONDS);
}

/* The compiler's library has no arithmetic: on the ESP8266 it is in the ROM. */
uint32_t __udivsi3(uint32_t dividend, uint32_t divisor);
uint32_t __umodsi3(uint32_t dividend, uint32_t divisor);
uint64_t __muldi3(uint64_t a, uint64_t b);

uint32_t __udivsi3(uint32_t dividend, uint32_t divisor) {
  uint32_t quotient = 0, remainder = 0;
  int bit;
  for (bit = 31; bit >= 0; --bit) {
    const uint32_t carry = remainder >> 31;
    remainder = remainder << 1 | (dividend >> bit & 1);
    if (carry || remainder >= divisor) {
      remainder -= divisor;
      quotient |= UINT32_C(1) << bit;
    }
  }
  return quotient;
}

uint32_t __umodsi3(uint32_t dividend, uint32_t divisor) {
  return dividend - __udivsi3(dividend, divisor) * divisor;
}

uint64_t __muldi3(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  for (; b != 0; b >>= 1, a <<= 1)
    if (b & 1) product += a;
  return product;
}

__asm__(
    ".text\n .global board_spin\n .align 4\n"
    "board_spin: addi a2, a2, -1\n bnez a2, board_spin\n ret");

/* The vectors of reset, and from VECBASE on those of the kernel's exceptions, of the user's and of
 * double ones. */
__asm__(
    ".section .boot, \"ax\"\n .align 256\n"
    "vectors: j 1f\n"
    ".org 0x30\n j 2f\n"
    ".org 0x50\n j 2f\n"
    ".org 0x70\n j 2f\n"
    ".align 4\n .literal_position\n"
    "1: movi a1, board_stack_top\n movi a0, vectors\n wsr a0, vecbase\n"
    "movi a0, start\n jx a0\n"
    "2: movi a0, fault\n jx a0\n"
    ".text");
