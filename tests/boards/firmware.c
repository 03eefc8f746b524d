/* Runs the cells of cases.h, which tests/boards/__init__.py writes, and compares each byte.
 *
 * Prints a line for each error; for each case its index, the count of its calls, the bytes of stack
 * of the deepest call and the cell's bytes of RAM; and at the end "passed" or "failed". */
#include "board.h"
#include "fastgrnn.h"

/* A cell, and the expected results of fastgrnn_run() on some sequences, one call each. */
typedef struct {
  /* The options, the weights and, if status is 0, int16 state[units] before the first call,
   * x[calls] of x_size bytes, y[calls] of y_size bytes, int16 state[units] at the end. */
  const FASTGRNN_FLASH uint8_t* data;
  uint16_t options_size, weights_size, units, calls, timesteps, x_size, y_size;
  uint8_t status; /* of fastgrnn_init() */
} test_case;

#include "cases.h" /* test_case cases[CASES]; */

enum { UNTOUCHED = 0xa5, MEANINGLESS = 0x55, GAP = 8, BUFFERS = 5 };

/* Holds all buffers of the two cases at work, with a gap before and after each. */
static union {
  uint8_t bytes[MEMORY_SIZE];
  uint64_t alignment;
} memory;
static struct {
  size_t start, end;
} buffers[2 * BUFFERS];
static unsigned buffers_used;

typedef struct {
  const FASTGRNN_FLASH test_case* expected;
  const FASTGRNN_FLASH uint8_t *next_x, *next_y;
  fastgrnn_params* params;
  void *x, *y; /* int8_t or int16_t */
  int16_t *state, *scratch;
  size_t scratch_size;
  uint16_t calls_left;
  uint32_t count;
  size_t stack;
} running_case;

static int status = 0;

static void write_number(int32_t v) {
  char text[12];
  char* p = text + sizeof text;
  uint32_t rest = v < 0 ? 0u - (uint32_t)v : (uint32_t)v;
  *--p = 0;
  do {
    *--p = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (v < 0) *--p = '-';
  board_write(p);
}

/* Reports an error and makes no more calls of the case. */
static void complain(running_case* r, const char* what, size_t byte, int got, int expected) {
  status = 1;
  r->calls_left = 0;
  board_write("case ");
  write_number((int32_t)(r->expected - cases));
  board_write(": byte ");
  write_number((int32_t)byte);
  board_write(" of ");
  board_write(what);
  board_write(" is ");
  write_number(got);
  board_write(", expected ");
  write_number(expected);
  board_write("\n");
}

static void check_equal(running_case* r, const char* what, const void* got,
                        const FASTGRNN_FLASH uint8_t* expected, size_t size) {
  const uint8_t* const bytes = got;
  size_t i;
  for (i = 0; i < size; ++i) {
    if (bytes[i] != expected[i]) {
      complain(r, what, i, bytes[i], expected[i]);
      return;
    }
  }
}

static void check_gaps(running_case* r) {
  size_t i = 0;
  unsigned buffer;
  for (buffer = 0; buffer <= buffers_used; ++buffer) {
    const size_t end = buffer == buffers_used ? MEMORY_SIZE : buffers[buffer].start;
    for (; i < end; ++i) {
      if (memory.bytes[i] != UNTOUCHED) {
        complain(r, "what is between the buffers", i, memory.bytes[i], UNTOUCHED);
        return;
      }
    }
    if (buffer < buffers_used) i = buffers[buffer].end;
  }
}

static void* take(size_t size) {
  const size_t last = buffers_used == 0 ? 0 : buffers[buffers_used - 1].end;
  const size_t start = (last + GAP + 7) / 8 * 8;
  if (start + size + GAP > MEMORY_SIZE) {
    board_write("MEMORY_SIZE is too small\n");
    board_exit(2);
  }
  buffers[buffers_used].start = start;
  buffers[buffers_used++].end = start + size;
  return memory.bytes + start;
}

static void fill(void* memory, uint8_t value, size_t size) {
  uint8_t* bytes = memory;
  while (size-- != 0) *bytes++ = value;
}

static void copy(void* to, const FASTGRNN_FLASH uint8_t* from, size_t size) {
  uint8_t* bytes = to;
  while (size-- != 0) *bytes++ = *from++;
}

static void start_case(running_case* r, const FASTGRNN_FLASH test_case* c) {
  const FASTGRNN_FLASH uint8_t* const weights = c->data + c->options_size;
  const FASTGRNN_FLASH uint8_t* const state = weights + c->weights_size;
  fastgrnn_status got;
  r->expected = c;
  r->calls_left = 0;
  r->count = 0;
  r->stack = 0;
  r->scratch_size = 0;
  r->params = take(sizeof(fastgrnn_params));
  got = fastgrnn_init(c->data, c->options_size, weights, c->weights_size, r->params);
  if (got == FASTGRNN_OK && c->status == FASTGRNN_OK) {
    r->calls_left = c->calls;
    r->scratch_size = fastgrnn_scratch_size(r->params) * sizeof(int16_t);
    r->x = take(c->x_size);
    r->y = take(c->y_size);
    r->state = take(sizeof(int16_t) * c->units);
    r->scratch = take(r->scratch_size);
    copy(r->state, state, sizeof(int16_t) * c->units);
    r->next_x = state + sizeof(int16_t) * c->units;
    r->next_y = r->next_x + (size_t)c->calls * c->x_size;
  }
  if (got != c->status) complain(r, "the status", 0, (int)got, c->status);
}

static void call(running_case* r, uint32_t overhead) {
  const FASTGRNN_FLASH test_case* const c = r->expected;
  uint8_t* const stack = board_stack_pointer();
  volatile uint8_t* p;
  uint32_t count;
  int last;
  copy(r->x, r->next_x, c->x_size);
  fill(r->y, MEANINGLESS, c->y_size);
  fill(r->scratch, MEANINGLESS, r->scratch_size);
  for (p = board_free_memory; p < stack; ++p) *p = UNTOUCHED;

  board_start();
  fastgrnn_run(r->params, r->x, c->timesteps, r->state, r->scratch, r->y);
  count = board_stop();

  for (p = board_free_memory; *p == UNTOUCHED; ++p) continue;
  if ((size_t)(stack - p) > r->stack) r->stack = (size_t)(stack - p);
  r->count += count - overhead;
  last = --r->calls_left == 0;
  if (count == UINT32_MAX) complain(r, "the counter, which ran over,", 0, 0, 0);
  check_equal(r, "x", r->x, r->next_x, c->x_size);
  check_equal(r, "y", r->y, r->next_y, c->y_size);
  r->next_x += c->x_size;
  r->next_y += c->y_size;
  if (last) {
    check_equal(r, "the last state", r->state, r->next_y, sizeof(int16_t) * c->units);
  }
  check_gaps(r);
}

static void finish_case(const running_case* r) {
  write_number((int32_t)(r->expected - cases));
  board_write(" ");
  write_number((int32_t)r->count);
  board_write(" ");
  write_number((int32_t)r->stack);
  board_write(" ");
  write_number(
      (int32_t)(sizeof(fastgrnn_params) + sizeof(int16_t) * r->expected->units + r->scratch_size));
  board_write("\n");
}

static __attribute__((noinline)) uint32_t count_turns(uint32_t turns) {
  board_start();
  board_spin(turns);
  return board_stop();
}

int main(void) {
  static running_case pair[2];
  uint32_t overhead;
  unsigned i, j;
  if (count_turns(21000) - count_turns(1000) != UINT32_C(20000) * BOARD_TURN) {
    board_write("the counter does not count\n");
    status = 1;
  }
  board_start();
  overhead = board_stop();
  /* Two cases in turns: a cell must leave nothing behind except in its own buffers. */
  for (i = 0; i < CASES; i += 2) {
    const unsigned n = CASES - i < 2 ? 1 : 2;
    fill(memory.bytes, UNTOUCHED, MEMORY_SIZE);
    buffers_used = 0;
    for (j = 0; j < n; ++j) start_case(&pair[j], &cases[i + j]);
    check_gaps(&pair[n - 1]);
    while (pair[0].calls_left != 0 || (n == 2 && pair[1].calls_left != 0)) {
      for (j = 0; j < n; ++j) {
        if (pair[j].calls_left != 0) call(&pair[j], overhead);
      }
    }
    for (j = 0; j < n; ++j) finish_case(&pair[j]);
  }
  board_write(status == 0 ? "passed\n" : "failed\n");
  board_exit(status);
}
