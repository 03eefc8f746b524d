/* Cortex-M under QEMU: semihosting, and SysTick as the counter.
 *
 * With -icount shift=7 each instruction takes 128 ns of the board's time, so that no tick of
 * SYSTICK_HZ (16 MHz or more) is shared by two. */
#include "start.h"

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026 };

#define REGISTER(address) (*(volatile uint32_t*)(address))
#define SYST_CSR REGISTER(0xe000e010)
#define SYST_RVR REGISTER(0xe000e014)
#define SYST_CVR REGISTER(0xe000e018)
#define CPACR REGISTER(0xe000ed88)

#define SYSTICK_MAX UINT32_C(0xffffff)

static void semihost(uint32_t operation, const void* parameter) {
  register uint32_t r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = parameter;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void board_write(const char* text) { semihost(SYS_WRITE0, text); }

void board_exit(int status) {
  const uint32_t reason[2] = {APPLICATION_EXIT, (uint32_t)status};
  semihost(SYS_EXIT_EXTENDED, reason);
}

void board_start(void) {
  SYST_CSR = 0;
  SYST_RVR = SYSTICK_MAX;
  SYST_CVR = 0; /* any write clears the counter and its overflow flag */
  SYST_CSR = 5; /* the processor's clock, no interrupt */
}

uint32_t board_stop(void) {
  const uint32_t left = SYST_CVR;
  const uint64_t ticks = SYSTICK_MAX - left + 1; /* loading the counter took the first tick */
  if (SYST_CSR >> 16 & 1) return UINT32_MAX;
  return (uint32_t)((ticks * (UINT64_C(1000000000) / 128) + SYSTICK_HZ / 2) / SYSTICK_HZ);
}

__attribute__((naked)) void board_spin(__attribute__((unused)) uint32_t turns) {
  __asm__(".syntax unified\n 1: subs r0, #1\n bne 1b\n bx lr");
}

extern uint32_t board_stack_top[];

static void reset(void) {
#if __ARM_FP || __ARM_FEATURE_MVE
  CPACR |= UINT32_C(0xf) << 20; /* the coprocessors of floating point and Helium */
#endif
  start();
}

/* NMI and the three fault handlers of a Cortex-M0; every other fault ends in the second. */
__attribute__((section(".boot"), used)) static const struct {
  uint32_t* stack_top;
  void (*handlers[3])(void);
} vectors = {board_stack_top, {reset, fault, fault}};
