/* The functions of each board: output, an end, and a counter. */
#ifndef BOARD_H_
#define BOARD_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes a string. */
void board_write(const char* text);

/* Writes a name, a number in decimal digits, and the end of the line. */
static inline void board_write_line(const char* name, uint32_t value) {
  char text[12], *p = text + sizeof text;
  *--p = 0;
  *--p = '\n';
  do *--p = (char)('0' + value % 10);
  while ((value /= 10) != 0);
  board_write(name);
  board_write(p);
}

/* Ends the emulator, which exits with the status if it supports one. */
void board_exit(int status);

/* The counter: instructions where QEMU runs the board, cycles where simavr does.
 *
 * board_stop() gives the count since board_start(), the two calls included, exact to one. It gives
 * UINT32_MAX if the counter ran over. */
void board_start(void);
uint32_t board_stop(void);

/* Takes BOARD_TURN counts per turn, and a few more that do not depend on the turns. */
#ifdef __AVR__
#define BOARD_TURN 6
#else
#define BOARD_TURN 2
#endif
void board_spin(uint32_t turns);

/* From the end of the static variables up to the stack pointer, memory is free. */
extern uint8_t board_free_memory[];

static inline uint8_t* board_stack_pointer(void) {
  uint8_t* p;
#if defined(__AVR__)
  __asm__ volatile("in %A0, __SP_L__\n in %B0, __SP_H__" : "=r"(p));
#elif defined(__XTENSA__)
  __asm__ volatile("mov %0, a1" : "=r"(p));
#elif defined(__riscv)
  __asm__ volatile("mv %0, sp" : "=r"(p));
#else
  __asm__ volatile("mov %0, sp" : "=r"(p));
#endif
  return p;
}

#ifdef __cplusplus
}
#endif

int main(void); /* ends by board_exit() */

#endif /* BOARD_H_ */
