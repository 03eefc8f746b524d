/* The C of a start code in RAM that nobody has cleared, for boards without a C library's own. */
#ifndef START_H_
#define START_H_

#include "board.h"

extern uint32_t board_bss_start[], board_bss_end[];

__attribute__((used)) static void fault(void) {
  board_write("a fault: the processor refused an instruction or an address\n");
  board_exit(3);
}

__attribute__((used)) static void start(void) {
  uint32_t* p;
  for (p = board_bss_start; p != board_bss_end; ++p) *p = 0;
  main();
}

#endif /* START_H_ */
