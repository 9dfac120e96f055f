/* SPDX-License-Identifier: Apache-2.0 */

/* The C interface from plain C, on a host build: known numbers, and what is refused. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kq.h"

static int failures = 0;

static void check(int holds, const char* what, int line) {
  if (holds) return;
  printf("line %d: does not hold: %s (last error: %s)\n", line, what, kq_last_error());
  ++failures;
}
#define CHECK(condition) check((condition), #condition, __LINE__)

/* 2 tokens of 4 floats, 8-bit integers, one scale per token. */
static kq_request small_request(void) {
  kq_request request = KQ_REQUEST_INIT;
  request.element = KQ_FLOAT32;
  request.format = KQ_INT8;
  request.granularity = KQ_TOKEN;
  request.num_tokens = 2;
  request.hidden_size = 4;
  return request;
}

static void quantizes_and_comes_back(void) {
  const float input[8] = {127.0f, -127.0f, 1.5f, 0.0f, 2.0f, -1.0f, 0.5f, 254.0f};
  const int8_t expected[8] = {127, -127, 2, 0, 1, 0, 0, 127}; /* ties to even */
  int8_t codes[8];
  float scales[2];
  float output[8];
  const kq_request request = small_request();
  kq_buffers buffers = KQ_BUFFERS_INIT;
  buffers.input = input;
  buffers.codes = codes;
  buffers.scales = scales;
  CHECK(kq_quantize(&request, &buffers, NULL) == KQ_SUCCESS);
  CHECK(memcmp(codes, expected, sizeof codes) == 0);
  CHECK(scales[0] == 1.0f && scales[1] == 2.0f);
  CHECK(kq_dequantize(&request, &buffers, output, NULL) == KQ_SUCCESS);
  CHECK(output[0] == 127.0f && output[2] == 2.0f && output[7] == 254.0f);
}

static void tells_sizes(void) {
  kq_request request = small_request();
  kq_buffer_sizes sizes = KQ_BUFFER_SIZES_INIT;
  request.asymmetric = 1;
  request.input_stride = 10;
  CHECK(kq_sizes(&request, &sizes) == KQ_SUCCESS);
  CHECK(sizes.input_bytes == 14 * sizeof(float)); /* no gap after the last row */
  CHECK(sizes.codes_bytes == 8);
  CHECK(sizes.num_scales == 2 && sizes.scales_bytes == 2 * sizeof(float));
  CHECK(sizes.zero_points_bytes == 2 * sizeof(int32_t));
}

/* A tensor without tokens, whose addresses an engine may have as NULL, is no error, and nothing is written for it. */
static void has_nothing_to_do_without_tokens(void) {
  for (int granularity = KQ_TENSOR; granularity <= KQ_GROUP; ++granularity) {
    float scale = 5.0f;
    kq_request request = small_request();
    kq_buffers buffers = KQ_BUFFERS_INIT;
    kq_buffer_sizes sizes = KQ_BUFFER_SIZES_INIT;
    request.num_tokens = 0;
    request.granularity = granularity;
    request.static_scale = granularity == KQ_CHANNEL;
    request.group_size = granularity == KQ_GROUP ? 16 : 0;
    CHECK(kq_sizes(&request, &sizes) == KQ_SUCCESS);
    CHECK(sizes.input_bytes == 0 && sizes.codes_bytes == 0 && sizes.num_scales == 0 && sizes.scales_bytes == 0);
    CHECK(sizes.zero_points_bytes == 0 && sizes.workspace_bytes == 0);
    CHECK(kq_quantize(&request, &buffers, NULL) == KQ_SUCCESS);
    CHECK(kq_dequantize(&request, &buffers, NULL, NULL) == KQ_SUCCESS);
    buffers.scales = &scale;
    CHECK(kq_quantize(&request, &buffers, NULL) == KQ_SUCCESS);
    CHECK(scale == 5.0f);
    buffers.struct_size = 8;
    CHECK(kq_quantize(&request, &buffers, NULL) == KQ_INVALID_ARGUMENT);
  }
}

/* The exponent 255 is NaN, as it is in OCP MX. */
static void dequantizes_exponent_255_to_nan(void) {
  const uint8_t codes[32] = {[0] = 0x38, [16] = 0x38};
  const uint8_t exponents[2] = {127, 255};
  float output[32];
  kq_request request = KQ_REQUEST_INIT;
  kq_buffers buffers = KQ_BUFFERS_INIT;
  request.format = KQ_FP8_E4M3FN;
  request.granularity = KQ_GROUP;
  request.group_size = 16;
  request.scale_format = KQ_SCALE_UE8M0;
  request.num_tokens = 1;
  request.hidden_size = 32;
  buffers.codes = (void*)codes;
  buffers.scales = (void*)exponents;
  CHECK(kq_dequantize(&request, &buffers, output, NULL) == KQ_SUCCESS);
  CHECK(output[0] == 1.0f && output[15] == 0.0f);
  CHECK(isnan(output[16]) && isnan(output[31]));
}

/* A span whose numbers are tiny keeps them, and its zeros. */
static void keeps_tiny_numbers(void) {
  const float input[4] = {0.0f, 1e-38f, -2e-38f, 5e-38f};
  const int8_t expected[4] = {0, 1, -2, 4};
  int8_t codes[4];
  float scale;
  kq_request request = small_request();
  kq_buffers buffers = KQ_BUFFERS_INIT;
  request.num_tokens = 1;
  buffers.input = input;
  buffers.codes = codes;
  buffers.scales = &scale;
  CHECK(kq_quantize(&request, &buffers, NULL) == KQ_SUCCESS);
  CHECK(memcmp(codes, expected, sizeof codes) == 0);
  CHECK(scale == 0x1p-126f);
}

/* A change to a good request or its buffers, and part of the message it must get. */
struct refusal {
  void (*change)(kq_request*, kq_buffers*);
  const char* says;
};

static void no_struct_size(kq_request* r, kq_buffers* b) {
  r->struct_size = 0, (void)b;
}
static void no_size_but_memory(kq_request* r, kq_buffers* b) {
  r->struct_size = (size_t)0xcdcdcdcdcdcdcdcdu, (void)b;
}
static void bad_element(kq_request* r, kq_buffers* b) {
  r->element = 256, (void)b;
}
static void negative_format(kq_request* r, kq_buffers* b) {
  r->format = -1, (void)b;
}
static void odd_truth(kq_request* r, kq_buffers* b) {
  r->static_scale = 2, (void)b;
}
static void fewer_than_no_tokens(kq_request* r, kq_buffers* b) {
  r->num_tokens = -1, (void)b;
}
static void no_columns(kq_request* r, kq_buffers* b) {
  r->num_tokens = r->hidden_size = 0, (void)b;
}
static void overflow(kq_request* r, kq_buffers* b) {
  r->num_tokens = INT64_MAX, (void)b;
}
static void short_stride(kq_request* r, kq_buffers* b) {
  r->input_stride = 3, (void)b;
}
static void bad_qmax(kq_request* r, kq_buffers* b) {
  r->qmax = 128.0f, (void)b;
}
static void nan_qmax(kq_request* r, kq_buffers* b) {
  r->qmax = NAN, (void)b;
}
static void reserved_used(kq_request* r, kq_buffers* b) {
  r->reserved = 1, (void)b;
}
static void fp8_with_zero_points(kq_request* r, kq_buffers* b) {
  r->asymmetric = 1, r->format = KQ_FP8_E5M2, (void)b;
}
static void bound_for_int8(kq_request* r, kq_buffers* b) {
  r->scale_ub = 1.0f, (void)b;
}
static void in_place(kq_request* r, kq_buffers* b) {
  b->codes = (void*)b->input, (void)r;
}
static void no_buffers_size(kq_request* r, kq_buffers* b) {
  b->struct_size = 8, (void)r;
}
static void no_input(kq_request* r, kq_buffers* b) {
  b->input = NULL, (void)r;
}
static void no_codes(kq_request* r, kq_buffers* b) {
  b->codes = NULL, (void)r;
}
static void no_scales(kq_request* r, kq_buffers* b) {
  b->scales = NULL, (void)r;
}
static void odd_input(kq_request* r, kq_buffers* b) {
  b->input = (const char*)b->input + 1, (void)r;
}
static void no_zero_points(kq_request* r, kq_buffers* b) {
  r->asymmetric = 1, (void)b;
}

static void refuses_what_cannot_be(void) {
  static const struct refusal refusals[] = {
      {no_struct_size, "request: struct_size is 0, which no version has (the first: 88); begin with KQ_REQUEST_INIT"},
      {no_size_but_memory, "request: struct_size is 14829735431805717965, which no version has"},
      {bad_element, "element: must be KQ_HALF, KQ_BFLOAT16 or KQ_FLOAT32, not 256"},
      {negative_format,
       "format: must be KQ_INT8, KQ_FP8_E4M3FN, KQ_FP8_E5M2, KQ_FP8_E4M3FNUZ, KQ_FP8_E5M2FNUZ or KQ_FP4_E2M1, not -1"},
      {odd_truth, "static_scale: must be 0 or 1"},
      {fewer_than_no_tokens, "num_tokens: must be 0 or more"},
      {no_columns, "hidden_size: must be 1 or more"},
      {overflow, "num_tokens"},
      {short_stride, "input_stride"},
      {bad_qmax, "qmax"},
      {nan_qmax, "qmax"},
      {reserved_used, "reserved"},
      {fp8_with_zero_points, "asymmetric: "},
      {bound_for_int8, "scale_ub: "},
      {in_place, "codes: shares memory with input"},
      {no_buffers_size, "buffers: struct_size is 8, which no version has (the first: 56); begin with KQ_BUFFERS_INIT"},
      {no_input, "input: must not be NULL"},
      {no_codes, "codes: must not be NULL"},
      {no_scales, "scales: must not be NULL"},
      {odd_input, "input: must be aligned to 4"},
      {no_zero_points, "zero_points: must not be NULL"},
  };
  for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; ++i) {
    float input[8] = {0};
    int8_t codes[8] = {99, 99, 99, 99, 99, 99, 99, 99};
    float scales[2];
    kq_request request = small_request();
    kq_buffers buffers = KQ_BUFFERS_INIT;
    buffers.input = input;
    buffers.codes = codes;
    buffers.scales = scales;
    refusals[i].change(&request, &buffers);
    const kq_status status = kq_quantize(&request, &buffers, NULL);
    if (status != KQ_INVALID_ARGUMENT || strstr(kq_last_error(), refusals[i].says) == NULL) {
      printf("refusal %zu: status %d, message '%s' lacks '%s'\n", i, (int)status, kq_last_error(), refusals[i].says);
      ++failures;
    }
    CHECK(codes[0] == 99); /* nothing was started */
  }
  const kq_request request = small_request();
  kq_buffers buffers = KQ_BUFFERS_INIT;
  CHECK(kq_quantize(NULL, &buffers, NULL) == KQ_INVALID_ARGUMENT);
  CHECK(kq_quantize(&request, NULL, NULL) == KQ_INVALID_ARGUMENT);
  CHECK(kq_sizes(&request, NULL) == KQ_INVALID_ARGUMENT);
  CHECK(kq_prepare_stream(&buffers) == KQ_INVALID_ARGUMENT); /* a host has no streams */
  CHECK(kq_initialize(-1) == KQ_INVALID_ARGUMENT);
  size_t overlapped = 7;
  CHECK(kq_overlap_graph(&buffers, &overlapped) == KQ_INVALID_ARGUMENT); /* nor graphs */
  CHECK(strstr(kq_last_error(), "graph: only CUDA ") == kq_last_error());
  CHECK(overlapped == 7);
}

/* Two halves of a tensor, each with the extremes of both, get the codes and the scale of the whole. */
static void quantizes_in_parts(void) {
  const float input[8] = {1.0f, -2.0f, 3.0f, 0.5f, -8.0f, 4.0f, 2.0f, -1.0f};
  int8_t whole[8], parts[8];
  float whole_scale[1], scale[1], extremes[2], greatest;
  kq_request request = KQ_REQUEST_INIT;
  request.element = KQ_FLOAT32;
  request.num_tokens = 2;
  request.hidden_size = 4;
  kq_buffer_sizes sizes = KQ_BUFFER_SIZES_INIT;
  CHECK(kq_sizes(&request, &sizes) == KQ_SUCCESS);
  CHECK(sizes.extremes_bytes == sizeof(float));
  void* const workspace = malloc(sizes.workspace_bytes); /* which is aligned for every type, and so to 16 */
  memset(workspace, 0, sizes.workspace_bytes);
  kq_buffers buffers = KQ_BUFFERS_INIT;
  buffers.workspace = workspace;
  buffers.workspace_bytes = sizes.workspace_bytes;
  buffers.input = input;
  buffers.codes = whole;
  buffers.scales = whole_scale;
  CHECK(kq_quantize(&request, &buffers, NULL) == KQ_SUCCESS);

  request.num_tokens = 1;
  for (int part = 0; part < 2; ++part) {
    buffers.input = input + 4 * part;
    CHECK(kq_find_extremes(&request, &buffers, &extremes[part], NULL) == KQ_SUCCESS);
  }
  CHECK(extremes[0] == 3.0f && extremes[1] == 8.0f);
  greatest = extremes[0] > extremes[1] ? extremes[0] : extremes[1];
  for (int part = 0; part < 2; ++part) {
    buffers.input = input + 4 * part;
    buffers.codes = parts + 4 * part;
    buffers.scales = scale;
    CHECK(kq_quantize_by_extremes(&request, &buffers, &greatest, NULL) == KQ_SUCCESS);
    CHECK(scale[0] == whole_scale[0]);
  }
  CHECK(memcmp(parts, whole, sizeof whole) == 0);

  CHECK(kq_find_extremes(&request, &buffers, NULL, NULL) == KQ_INVALID_ARGUMENT);
  CHECK(strstr(kq_last_error(), "extremes: ") == kq_last_error());
  CHECK(kq_quantize_by_extremes(&request, &buffers, scale, NULL) == KQ_INVALID_ARGUMENT); /* in place */
  request.static_scale = 1;
  CHECK(kq_find_extremes(&request, &buffers, extremes, NULL) == KQ_INVALID_ARGUMENT);
  CHECK(strstr(kq_last_error(), "static_scale: ") == kq_last_error());
  free(workspace);
}

/* A program compiled with a newer header hands over longer structs. */
static void takes_longer_structs_whose_rest_is_zero(void) {
  struct {
    kq_request known;
    int64_t unknown;
  } longer = {KQ_REQUEST_INIT, 0};
  kq_buffer_sizes sizes = KQ_BUFFER_SIZES_INIT;
  longer.known = small_request();
  longer.known.struct_size = sizeof longer;
  CHECK(kq_sizes(&longer.known, &sizes) == KQ_SUCCESS);
  longer.unknown = 1;
  CHECK(kq_sizes(&longer.known, &sizes) == KQ_INVALID_ARGUMENT);
  CHECK(strstr(kq_last_error(), "request: the field at byte ") == kq_last_error());
  CHECK(strstr(kq_last_error(), " is newer than this library") != NULL);
}

int main(void) {
  CHECK(kq_api_version() == KQ_API_VERSION);
#if defined(__x86_64__)
  CHECK(strncmp(kq_architecture(), "x86-64", 6) == 0);
#else
  CHECK(kq_architecture()[0] != '\0');
#endif
  if (strcmp(kq_backend(), "host") != 0) {
    /* Where there is no device the program is told, and not ended. */
    const kq_status status = kq_prepare_stream(NULL);
    CHECK(status == KQ_SUCCESS || (status == KQ_DEVICE_ERROR && strstr(kq_last_error(), "no device ") != NULL));
    printf("skipped: this library works on %s, not on the host\n", kq_backend());
    return 77;
  }
  CHECK(kq_last_error()[0] == '\0');
  CHECK(kq_initialize(0) == KQ_SUCCESS);
  quantizes_and_comes_back();
  tells_sizes();
  has_nothing_to_do_without_tokens();
  dequantizes_exponent_255_to_nan();
  keeps_tiny_numbers();
  refuses_what_cannot_be();
  quantizes_in_parts();
  takes_longer_structs_whose_rest_is_zero();
  return failures == 0 ? 0 : 1;
}
