/* SPDX-License-Identifier: Apache-2.0 */

/* kq.h as it was in version 1.0, for test_version_1_0.c: programs compiled with it run with every libkq.so.1. Do not
 * change it. The contract is told in capi/kq.h, not here. */

#ifndef KQ_H
#define KQ_H

/**
 * \file
 * The kernels for other languages and engines: plain pointers, shapes, strides and a stream.
 *
 *     kq_request request = KQ_REQUEST_INIT;
 *     request.format = KQ_FP8_E4M3FN;
 *     request.granularity = KQ_TOKEN;
 *     request.num_tokens = 4096;
 *     request.hidden_size = 8192;
 *     kq_buffers buffers = KQ_BUFFERS_INIT;
 *     buffers.input = x; buffers.codes = q; buffers.scales = s;
 *     if (kq_quantize(&request, &buffers, stream) != KQ_SUCCESS) puts(kq_last_error());
 *
 * Where: on the device this library was built for (kq_backend), in memory that it can reach. `stream` is a cudaStream_t
 * or hipStream_t of the current device (NULL: the default stream) and NULL on a host build. On a device the work is put
 * on the stream and may be captured into a graph; on a host it is done when the call returns. Nothing is allocated but
 * what Kokkos keeps for a stream the first time that one is seen, which must not be while it is being captured: call
 * kq_prepare_stream before.
 *
 * What: formulas, formats and shapes are those of numerics.md in kqbench's documentation. A tensor is [num_tokens,
 * hidden_size], a row's elements side by side. The caller owns every buffer and keeps it until the work is done.
 *
 * Errors: every function that can fail returns a status; kq_last_error has the message, of this thread's last failure.
 * Arguments are checked before anything is started; what a device does later is reported by the device's own calls.
 *
 * Threads: functions may be called from several threads at once; on a device not for one stream, on a host in turns.
 *
 * Binary compatibility: structs begin with their size as the caller was compiled with, values are never renumbered, and
 * functions are never removed while the library's version in its file name (libkq.so.1) stays.
 */

#include <stddef.h>
#include <stdint.h>

#define KQ_API_VERSION 1 /**< grows with every addition; kq_api_version() is the library's */

#if defined(__GNUC__)
#define KQ_API __attribute__((visibility("default")))
#else
#define KQ_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum kq_status {
  KQ_SUCCESS = 0,
  KQ_INVALID_ARGUMENT = 1, /**< the message names the field and what to do */
  KQ_DEVICE_ERROR = 2,     /**< no device, or Kokkos or the device's runtime failed */
  KQ_OUT_OF_MEMORY = 3
} kq_status;

/** Element type of the input. */
enum { KQ_HALF = 0, KQ_BFLOAT16 = 1, KQ_FLOAT32 = 2 };

/** Format of the codes, one byte each. */
enum { KQ_INT8 = 0, KQ_FP8_E4M3FN = 1, KQ_FP8_E5M2 = 2, KQ_FP8_E4M3FNUZ = 3, KQ_FP8_E5M2FNUZ = 4 };

/** What shares one scale: the tensor, a token (row), a channel (column), group_size consecutive elements of a row. */
enum { KQ_TENSOR = 0, KQ_TOKEN = 1, KQ_CHANNEL = 2, KQ_GROUP = 3 };

/** Group scales: float; raised to a power of two, as float; the same as its 8-bit exponent (UE8M0). */
enum { KQ_SCALE_FLOAT = 0, KQ_SCALE_UE8M0_FLOAT = 1, KQ_SCALE_UE8M0 = 2 };

/** Group scales as [tokens, groups] row by row, or column by column. */
enum { KQ_LAYOUT_ROW = 0, KQ_LAYOUT_COLUMN = 1 };

/** What is to be done. Begin with KQ_REQUEST_INIT; 0 is a default in every field but the sizes. */
typedef struct kq_request {
  size_t struct_size; /**< sizeof(kq_request) */
  int32_t element;
  int32_t format;
  int32_t granularity;
  int32_t static_scale; /**< 1: scales (and zero points) are given; 0: they are computed */
  int32_t asymmetric;   /**< 1: int8 with a zero point a scale */
  int32_t scale_format; /**< KQ_GROUP only */
  int32_t scale_layout; /**< KQ_GROUP only */
  int32_t reserved;     /**< 0 */
  int64_t num_tokens;
  int64_t hidden_size;
  int64_t input_stride; /**< elements from one row to the next; 0: hidden_size */
  int64_t codes_stride; /**< codes from one row to the next; 0: hidden_size */
  int64_t group_size;   /**< KQ_GROUP only, 16 or more */
  float qmax;           /**< bound of a code's magnitude; 0: the format's largest */
  float scale_ub;       /**< upper bound of a token's largest magnitude, dynamic token fp8 only; 0: none */
} kq_request;
#define KQ_REQUEST_INIT \
  { sizeof(kq_request), KQ_HALF, KQ_INT8, KQ_TENSOR, 0, 0, KQ_SCALE_FLOAT, KQ_LAYOUT_ROW, 0, 0, 0, 0, 0, 0, 0.0f, 0.0f }

/** Where it is done. Begin with KQ_BUFFERS_INIT. Addresses are aligned to their elements at least; to 16 bytes is
 * faster. */
typedef struct kq_buffers {
  size_t struct_size; /**< sizeof(kq_buffers) */
  const void* input;
  void* codes;            /**< int8_t or, for fp8, uint8_t; read by kq_dequantize */
  void* scales;           /**< float, or uint8_t for KQ_SCALE_UE8M0; kq_sizes says how many */
  int32_t* zero_points;   /**< as many as scales; NULL unless asymmetric */
  void* workspace;        /**< kq_sizes says how many bytes, aligned to 16; NULL if none. Zero
                           * before its first use, then left as kq_quantize leaves it; calls that may overlap in
                           * time need one each. */
  size_t workspace_bytes; /**< of the workspace given */
} kq_buffers;
#define KQ_BUFFERS_INIT \
  { sizeof(kq_buffers), NULL, NULL, NULL, NULL, NULL, 0 }

/** What a request's buffers must hold. Begin with KQ_BUFFER_SIZES_INIT. */
typedef struct kq_buffer_sizes {
  size_t struct_size; /**< sizeof(kq_buffer_sizes) */
  size_t input_bytes; /**< from the first element to the last */
  size_t codes_bytes; /**< likewise */
  int64_t num_scales;
  size_t scales_bytes;
  size_t zero_points_bytes; /**< 0 unless asymmetric */
  size_t workspace_bytes;   /**< 0 for most requests */
} kq_buffer_sizes;
#define KQ_BUFFER_SIZES_INIT \
  { sizeof(kq_buffer_sizes), 0, 0, 0, 0, 0, 0 }

/** KQ_API_VERSION of the library. */
KQ_API int kq_api_version(void);

/** "cuda", "hip" or "host": what this library was built for. */
KQ_API const char* kq_backend(void);

/**
 * Starts Kokkos on a device, by its index (ignored on a host build). Every function that needs it does so by itself, on
 * device 0, or takes a Kokkos that the program has already started as it is. One process works on one device: another
 * index later is an error.
 */
KQ_API kq_status kq_initialize(int device);

/** Makes ready what Kokkos keeps for a stream. Only needed before the stream is captured. */
KQ_API kq_status kq_prepare_stream(void* stream);

/** Checks a request and tells the sizes of its buffers. */
KQ_API kq_status kq_sizes(const kq_request* request, kq_buffer_sizes* sizes);

/** Quantizes: input to codes, and to scales and zero points unless static_scale. */
KQ_API kq_status kq_quantize(const kq_request* request, const kq_buffers* buffers, void* stream);

/**
 * The way back: output[token * hidden_size + channel] = what the code there stands for, in float. buffers->input and
 * the workspace are not looked at, nor are the request's element and input_stride.
 */
KQ_API kq_status kq_dequantize(const kq_request* request, const kq_buffers* buffers, float* output, void* stream);

/** What went wrong in this thread's last call that failed, in one line; empty if none did. */
KQ_API const char* kq_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
