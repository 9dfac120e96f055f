/* SPDX-License-Identifier: Apache-2.0 */

/* A program that was compiled with version 1.0's kq.h runs with this library, on a host build: every function does what
 * it did, and what lies behind version 1.0's structs is neither read nor written. */

#include <stdio.h>
#include <string.h>

#include "kq_1_0.h"

static int failures = 0;

static void check(int holds, const char* what, int line) {
  if (holds) return;
  printf("line %d: does not hold: %s (last error: %s)\n", line, what, kq_last_error());
  ++failures;
}
#define CHECK(condition) check((condition), #condition, __LINE__)

/* Version 1.0's structs, and memory behind them that a newer library would misread as fields. */
struct {
  kq_request request;
  unsigned char behind[256];
} asked = {KQ_REQUEST_INIT, {0}};
struct {
  kq_buffers buffers;
  unsigned char behind[256];
} given = {KQ_BUFFERS_INIT, {0}};
struct {
  kq_buffer_sizes sizes;
  unsigned char behind[256];
} told = {KQ_BUFFER_SIZES_INIT, {0}};

int main(void) {
  const float input[8] = {127.0f, -127.0f, 1.5f, 0.0f, 2.0f, -1.0f, 0.5f, 254.0f};
  const int8_t expected[8] = {127, -127, 2, 0, 1, 0, 0, 127};
  unsigned char untouched[256];
  int8_t codes[8];
  float scales[2];
  float output[8];
  if (strcmp(kq_backend(), "host") != 0) {
    printf("skipped: this library works on %s, not on the host\n", kq_backend());
    return 77;
  }
  memset(untouched, 0xa5, sizeof untouched);
  memcpy(asked.behind, untouched, sizeof untouched);
  memcpy(given.behind, untouched, sizeof untouched);
  memcpy(told.behind, untouched, sizeof untouched);
  asked.request.element = KQ_FLOAT32;
  asked.request.format = KQ_INT8;
  asked.request.granularity = KQ_TOKEN;
  asked.request.num_tokens = 2;
  asked.request.hidden_size = 4;

  CHECK(kq_api_version() >= KQ_API_VERSION);
  CHECK(kq_last_error()[0] == '\0');
  CHECK(kq_initialize(0) == KQ_SUCCESS);
  CHECK(kq_prepare_stream(NULL) == KQ_SUCCESS);

  CHECK(kq_sizes(&asked.request, &told.sizes) == KQ_SUCCESS);
  CHECK(told.sizes.struct_size == sizeof(kq_buffer_sizes));
  CHECK(told.sizes.input_bytes == sizeof input && told.sizes.codes_bytes == sizeof codes);
  CHECK(told.sizes.num_scales == 2 && told.sizes.scales_bytes == sizeof scales);
  CHECK(told.sizes.zero_points_bytes == 0 && told.sizes.workspace_bytes == 0);
  CHECK(memcmp(told.behind, untouched, sizeof untouched) == 0);

  given.buffers.input = input;
  given.buffers.codes = codes;
  given.buffers.scales = scales;
  CHECK(kq_quantize(&asked.request, &given.buffers, NULL) == KQ_SUCCESS);
  CHECK(memcmp(codes, expected, sizeof codes) == 0);
  CHECK(scales[0] == 1.0f && scales[1] == 2.0f);
  CHECK(kq_dequantize(&asked.request, &given.buffers, output, NULL) == KQ_SUCCESS);
  CHECK(output[0] == 127.0f && output[2] == 2.0f && output[7] == 254.0f);

  given.buffers.codes = NULL;
  CHECK(kq_quantize(&asked.request, &given.buffers, NULL) == KQ_INVALID_ARGUMENT);
  CHECK(strstr(kq_last_error(), "codes: ") == kq_last_error());
  return failures == 0 ? 0 : 1;
}
