/* RISC-V (RV32IMC) under QEMU: semihosting, and minstret as the counter. */
#include "start.h"

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026 };

static void semihost(uint32_t operation, const void* parameter) {
  register uint32_t a0 __asm__("a0") = operation;
  register const void* a1 __asm__("a1") = parameter;
  /* A debugger recognises these three instructions, which must lie in one page. */
  __asm__ volatile(
      ".option push\n .option norvc\n .balign 16\n"
      "slli x0, x0, 0x1f\n ebreak\n srai x0, x0, 7\n"
      ".option pop"
      : "+r"(a0)
      : "r"(a1)
      : "memory");
}

void board_write(const char* text) { semihost(SYS_WRITE0, text); }

void board_exit(int status) {
  const uint32_t reason[2] = {APPLICATION_EXIT, (uint32_t)status};
  semihost(SYS_EXIT_EXTENDED, reason);
}

static uint32_t started;

static uint32_t instructions(void) {
  uint32_t count;
  __asm__ volatile(".option push\n .option arch, +zicsr\n csrr %0, minstret\n .option pop"
                   : "=r"(count)::"memory");
  return count;
}

void board_start(void) { started = instructions(); }

uint32_t board_stop(void) { return instructions() - started; }

__attribute__((naked)) void board_spin(__attribute__((unused)) uint32_t turns) {
  __asm__("1: addi a0, a0, -1\n bnez a0, 1b\n ret");
}

__attribute__((section(".boot"), naked, used)) static void boot(void) {
  __asm__(
      "la sp, board_stack_top\n"
      "la t0, 1f\n"
      ".option push\n .option arch, +zicsr\n csrw mtvec, t0\n .option pop\n"
      "j %0\n"
      ".balign 4\n"
      "1: j %1" ::"i"(start),
      "i"(fault));
}
