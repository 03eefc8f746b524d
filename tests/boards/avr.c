/* ATmega328P under simavr, or on a board: the serial port, and two timers as the counter. */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>

#include "board.h"

void board_write(const char* text) {
  UCSR0A = 1 << U2X0; /* 2 Mbaud */
  UCSR0B = 1 << TXEN0;
  for (; *text != 0; ++text) {
    while ((UCSR0A >> UDRE0 & 1) == 0) continue;
    UDR0 = (uint8_t)*text;
  }
}

void board_exit(int status) {
  (void)status; /* simavr has no exit code */
  cli();
  sleep_enable();
  for (;;) sleep_cpu(); /* no interrupt ends the sleep, so simavr quits */
}

/* Timer 0 holds the lowest 8 bits of the cycle count; timer 1 counts every 64 cycles in 16 bits. */
void board_start(void) {
  TCCR0B = 0;
  TCCR1B = 0;
  TCNT0 = 0;
  TCNT1 = 0;
  TIFR1 = 1 << TOV1;
  TCCR1B = 1 << CS11 | 1 << CS10;
  TCCR0B = 1 << CS00;
}

uint32_t board_stop(void) {
  const uint8_t fine = TCNT0;
  /* A turn early, because the timers are neither started nor read at the same time. */
  const uint32_t coarse = (uint32_t)TCNT1 * 64 - 64;
  if (TIFR1 >> TOV1 & 1) return UINT32_MAX;
  return coarse + (uint8_t)(fine - coarse);
}

__attribute__((naked, noinline)) void board_spin(__attribute__((unused)) uint32_t turns) {
  __asm__(
      "1: subi r22, 1\n sbci r23, 0\n sbci r24, 0\n sbci r25, 0\n"
      "brne 1b\n ret");
}
