/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KQ_H
#define KQ_H

/**
 * \file
 * Quantization kernels behind plain C functions: pointers, shapes, strides and a stream.
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
 * Formulas, formats and shapes: numerics.md in kqbench's documentation. A tensor is [num_tokens, hidden_size]; the
 * elements of a row are consecutive.
 *
 * Device: the library works on the one it was built for, see kq_backend. Every buffer is in memory that this device can
 * reach. On a host build that is the process's own memory. With
 * no tokens there is nothing to do: no address is looked at, and each may be NULL.
 *
 * Streams: `stream` is a cudaStream_t or a hipStream_t of the current device; NULL is the default stream of the device,
 * not that of a thread. A call puts its work on the stream and returns without waiting for it. The work starts after
 * everything that was put on that stream before, and ends before anything that is put there later starts; it is not
 * ordered with other streams. A stream may be captured into a graph if kq_prepare_stream, or another call with this
 * stream, came before the capture. On a host build `stream` must be NULL, and the work is done when the call returns.
 *
 * Memory: the library allocates nothing but what Kokkos keeps for a stream, which is made in the first call with that
 * stream and stays until the program ends. The caller owns every buffer, and keeps it until the work is done; where the
 * work was captured, until the graph is destroyed. The structs are read during the call only. A buffer that is written
 * must not share memory with another one, or the call is refused: nothing is done in place. Rows of one buffer may lie
 * between the rows of another.
 *
 * Threads: any function may be called from any thread at any time. Calls for one stream take turns, in no order that is
 * promised; calls for different streams may run at the same time. On a host build all calls take turns, and a program
 * that uses Kokkos itself must not run kernels of its own on the host during a call.
 *
 * Errors: a function that can fail returns a status, and kq_last_error has the message. Arguments are checked before
 * any work is started: a call that is refused has written nothing. What fails on a device later, while the work runs,
 * is reported by the device's runtime (cudaStreamSynchronize, hipStreamSynchronize).
 *
 * Versions: a program that was compiled with an older kq.h runs with a newer library of the same file name
 * (libkq.so.1). Values are never renumbered, functions are never removed, and a struct only grows at its end, by fields
 * for which 0 means what there was before. Each struct begins with its size as the caller was compiled: fields behind
 * that size are taken as 0. A program that was compiled with a newer kq.h runs with an older library as long as it
 * leaves the fields 0 that the library does not know; otherwise the call is refused.
 */

#include <stddef.h>
#include <stdint.h>

#define KQ_API_VERSION 6 /**< that of this header; grows with every addition to it */

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
  KQ_INVALID_ARGUMENT = 1, /**< the message begins with the field's or the parameter's name and says what to do */
  KQ_DEVICE_ERROR = 2,     /**< no device, or Kokkos or the device's runtime failed */
  KQ_OUT_OF_MEMORY = 3     /**< of the host */
} kq_status;

/** Element type of the input. */
enum { KQ_HALF = 0, KQ_BFLOAT16 = 1, KQ_FLOAT32 = 2 };

/** Format of the codes: one byte each; since version 5 KQ_FP4_E2M1, two per byte, the even column in the low half, the
 * partner of an odd last column being 0. */
enum { KQ_INT8 = 0, KQ_FP8_E4M3FN = 1, KQ_FP8_E5M2 = 2, KQ_FP8_E4M3FNUZ = 3, KQ_FP8_E5M2FNUZ = 4, KQ_FP4_E2M1 = 5 };

/** The elements that share a scale: the tensor, a token (row), a channel (column), group_size consecutive elements of a
 * row, or a block of block_rows rows by group_size columns. */
enum { KQ_TENSOR = 0, KQ_TOKEN = 1, KQ_CHANNEL = 2, KQ_GROUP = 3, KQ_BLOCK = 4 };

/** Scales of groups and blocks: float; float, rounded up to a power of two; the 8-bit exponent of a power of two
 * (UE8M0), found as scale_rounding says; since version 5 an E4M3 byte, times the tensor's global_scale, for
 * KQ_FP4_E2M1 only. */
enum { KQ_SCALE_FLOAT = 0, KQ_SCALE_UE8M0_FLOAT = 1, KQ_SCALE_UE8M0 = 2, KQ_SCALE_E4M3 = 3 };

/** Since version 5: how the exponents of KQ_SCALE_UE8M0 are found. Groups with computed scales only, and for all but
 * the first KQ_FP8_E4M3FN, KQ_FP8_E5M2 and KQ_FP4_E2M1 only. kqbench's own arithmetic has no other for KQ_FP4_E2M1.
 * The last two are Transformer Engine's for KQ_SCALE_E4M3, in groups of 16 and KQ_DIALECT_TE_D0067D0 only.
 *   KQ_ROUNDING_QUOTIENT  the magnitude's quotient by qmax, raised to the next power of two
 *   KQ_ROUNDING_RCEIL     MX, the least exponent with which nothing saturates
 *   KQ_ROUNDING_FLOOR     MX, that of the largest magnitude, down
 *   KQ_ROUNDING_EVEN      MX, that of the largest magnitude rounded to the codes' mantissa bits, down
 *   KQ_ROUNDING_CEIL      MX, that of the largest magnitude, up
 *   KQ_ROUNDING_4OVER6_*  the group's largest magnitude becomes 6, or 4 where that leaves a lesser error: the sum of
 *                         absolute errors under scales up to 448 (MAE_448), or of squared errors under scales made
 *                         for 256 (MSE_256) */
enum {
  KQ_ROUNDING_QUOTIENT = 0,
  KQ_ROUNDING_RCEIL = 1,
  KQ_ROUNDING_FLOOR = 2,
  KQ_ROUNDING_EVEN = 3,
  KQ_ROUNDING_CEIL = 4,
  KQ_ROUNDING_4OVER6_MAE_448 = 5,
  KQ_ROUNDING_4OVER6_MSE_256 = 6
};

/** Scales of groups and blocks, [rows, columns]: one row for each token or row of blocks, one column for each group or
 * block of a row. Scale (t, g) is number
 *   KQ_LAYOUT_ROW             t * columns + g
 *   KQ_LAYOUT_COLUMN          g * stride + t; the stride is scale_stride, or the rows if that is 0
 *   KQ_LAYOUT_COLUMN_ALIGNED  g * stride + t; the stride is the rows, rounded up so that a column is a multiple of 16
 *                             bytes
 *   KQ_LAYOUT_PACKED          ((g / 4) * rows4 + t) * 4 + g % 4, for KQ_SCALE_UE8M0 only: 4 in an int32; rows4 is the
 *                             rows, rounded up to a multiple of 4
 *   KQ_LAYOUT_SWIZZLED_128X4  ((t / 128) * columns4 + g / 4) * 512 + (t % 32) * 16 + ((t / 32) % 4) * 4 + g % 4, for
 *                             KQ_SCALE_UE8M0 and KQ_SCALE_E4M3 only; columns4 is columns / 4, rounded up; since
 *                             version 5
 *   KQ_LAYOUT_SWIZZLED_8X4    ((t / 8) * columns4 + g / 4) * 32 + (t % 8) * 4 + g % 4, for those two formats, too;
 *                             since version 5
 *   KQ_LAYOUT_SHUFFLED_32X8   ((t / 32) * columns8 + g / 8) * 256 + (g % 4) * 64 + (t % 16) * 4 + (g % 8) / 4 * 2 +
 *                             (t % 32) / 16, for those two formats, as AITER shuffles them; columns8 is columns / 8,
 *                             rounded up, and the rows are rounded up to a multiple of 256; since version 5
 *
 * Places that no scale has are not written by KQ_LAYOUT_COLUMN, and are written 0 by those after it. */
enum {
  KQ_LAYOUT_ROW = 0,
  KQ_LAYOUT_COLUMN = 1,
  KQ_LAYOUT_COLUMN_ALIGNED = 2,
  KQ_LAYOUT_PACKED = 3,
  KQ_LAYOUT_SWIZZLED_128X4 = 4,
  KQ_LAYOUT_SWIZZLED_8X4 = 5,
  KQ_LAYOUT_SHUFFLED_32X8 = 6
};

/** Whose arithmetic, bit for bit: kqbench's own, or an engine's at one version. `kqbench list --dialects` shows what
 * each computes and which schemes it has; a request of another scheme is refused. */
enum {
  KQ_DIALECT_KQBENCH = 0,
  KQ_DIALECT_VLLM_0_33_0 = 1,
  KQ_DIALECT_VLLM_0_33_0_TORCH = 2,
  KQ_DIALECT_SGLANG_0_5_23 = 3,
  KQ_DIALECT_DEEPGEMM_54E2261 = 4,
  KQ_DIALECT_TE_D0067D0 = 5,
  KQ_DIALECT_TE_KERNELS = 6,
  KQ_DIALECT_FLASHINFER_TRTLLM_KERNELS = 7,
  KQ_DIALECT_TORCHAO_36027D8 = 8,
  KQ_DIALECT_TORCHAO_0_18_0 = 9,
  KQ_DIALECT_AITER_E404860 = 10,
  KQ_DIALECT_COMPRESSED_TENSORS_0_20_1 = 11
};

/** What makes the values that are quantized. T is the element's type, T(v) rounds to it.
 *   KQ_PRODUCER_NONE          the input
 *   KQ_PRODUCER_RMS_NORM      T((x * r) * weight), r = 1 / sqrt(mean of x^2 over the token + eps)
 *   KQ_PRODUCER_ADD_RMS_NORM  z = T(x + residual) is stored as residual_out, and normed in x's place
 *   KQ_PRODUCER_SILU_MUL      T(T(gate / (1 + e^-gate)) * up), of an input whose rows are hidden_size of gate and then
 *                             as many of up
 *
 * A NaN that a producer makes has all bits set but the sign. */
enum { KQ_PRODUCER_NONE = 0, KQ_PRODUCER_RMS_NORM = 1, KQ_PRODUCER_ADD_RMS_NORM = 2, KQ_PRODUCER_SILU_MUL = 3 };

/** What to do. Begin with KQ_REQUEST_INIT. 0 is the default of every field; num_tokens and hidden_size must be set. */
typedef struct kq_request {
  size_t struct_size;   /**< sizeof(kq_request) */
  int32_t element;      /**< KQ_HALF, KQ_BFLOAT16 or KQ_FLOAT32 */
  int32_t format;       /**< KQ_INT8, one of KQ_FP8_* or KQ_FP4_E2M1 */
  int32_t granularity;  /**< KQ_TENSOR, KQ_TOKEN, KQ_CHANNEL, KQ_GROUP or KQ_BLOCK */
  int32_t static_scale; /**< 1: scales (and zero points) are given, scales normal and above 0; 0: they are computed */
  int32_t asymmetric;   /**< 1: KQ_INT8 with a zero point per scale */
  int32_t scale_format; /**< one of KQ_SCALE_*; KQ_GROUP and KQ_BLOCK only */
  int32_t scale_layout; /**< one of KQ_LAYOUT_*; KQ_GROUP and KQ_BLOCK only */
  int32_t reserved;     /**< 0 */
  int64_t num_tokens;   /**< 0 or more */
  int64_t hidden_size;  /**< 1 or more */
  int64_t input_stride; /**< elements from a row's begin to the next row's; 0: hidden_size, KQ_PRODUCER_SILU_MUL twice
                         * that */
  int64_t codes_stride; /**< codes from a row's begin to the next row's, even for KQ_FP4_E2M1; 0: hidden_size, for
                         * KQ_FP4_E2M1 the next even number */
  int64_t group_size;   /**< columns; 16 or more for KQ_GROUP and KQ_BLOCK, of KQ_FP4_E2M1 a multiple of 16; otherwise
                         * 0 */
  float qmax;         /**< bound of a code's magnitude; 0: the format's largest, and no other for KQ_FP4_E2M1 and for a
                       * scale_rounding other than KQ_ROUNDING_QUOTIENT */
  float scale_ub;     /**< upper bound of a token's largest magnitude, above 0, for KQ_TOKEN with computed scales
                       * and KQ_FP8_* only; 0 or infinity: none. kq_buffers can have it in the device's memory */
  int64_t block_rows; /**< since version 2: rows; 1 or more for KQ_BLOCK, otherwise 0 */
  int64_t scale_stride; /**< since version 2: scales from a column's begin to the next column's, KQ_LAYOUT_COLUMN only;
                         * 0: as many as there are rows of them */
  int32_t dialect;      /**< since version 3: one of KQ_DIALECT_* */
  int32_t reserved2;    /**< since version 3: 0 */
  int32_t producer;     /**< since version 4: one of KQ_PRODUCER_* */
  float eps;            /**< since version 4: above 0, producers that norm only; 0: 1e-6 */
  int64_t residual_stride; /**< since version 4: elements from a row's begin to the next row's, of residual and
                            * residual_out, KQ_PRODUCER_ADD_RMS_NORM only; 0: hidden_size */
  int32_t scale_rounding;  /**< since version 5: one of KQ_ROUNDING_* */
  float global_scale; /**< since version 5: g, above 0, KQ_SCALE_E4M3 with computed scales only: scales are multiplied
                       * by g before they are stored, and kq_buffers.global_scale gets 1 / g; 0: g is found from
                       * the tensor. KQ_DIALECT_TORCHAO_* divides scales by this number instead, and for
                       * KQ_ROUNDING_4OVER6_* it is the tensor's largest magnitude */
} kq_request;
#define KQ_REQUEST_INIT                                                                                           \
  {                                                                                                               \
    sizeof(kq_request), KQ_HALF, KQ_INT8, KQ_TENSOR, 0, 0, KQ_SCALE_FLOAT, KQ_LAYOUT_ROW, 0, 0, 0, 0, 0, 0, 0.0f, \
        0.0f, 0, 0, KQ_DIALECT_KQBENCH, 0, KQ_PRODUCER_NONE, 0.0f, 0, KQ_ROUNDING_QUOTIENT, 0.0f                  \
  }

/** The tensors of a call. Begin with KQ_BUFFERS_INIT. An address must be aligned to the type it points to; kernels are
 * faster where input and codes are aligned to 16 bytes. */
typedef struct kq_buffers {
  size_t struct_size;   /**< sizeof(kq_buffers) */
  const void* input;    /**< of the request's element type; not looked at by kq_dequantize */
  void* codes;          /**< int8_t for KQ_INT8, uint8_t otherwise; written by kq_quantize, read by kq_dequantize */
  void* scales;         /**< float, or uint8_t for KQ_SCALE_UE8M0, 255 being NaN, and for KQ_SCALE_E4M3; written by
                         * kq_quantize unless static_scale */
  int32_t* zero_points; /**< as many as scales, and written when they are; not looked at unless asymmetric */
  void* workspace;      /**< memory for kq_quantize, aligned to 16 bytes; NULL if kq_sizes says 0 bytes. Set it to zero
                         * before its first use and do not change it afterwards: every call leaves it ready for the
                         * next one, of any request. Calls may share a workspace if the work of one has ended before
                         * that of the next starts, as on one stream; otherwise each needs its own. */
  size_t workspace_bytes; /**< size of the workspace; as much as kq_sizes says, or more */
  const void* weight;     /**< since version 4: hidden_size elements of the request's type, producers that norm */
  const void* residual;   /**< since version 4: elements of the request's type, KQ_PRODUCER_ADD_RMS_NORM */
  void* residual_out;     /**< since version 4: its sum with the input is written here; may be the residual itself */
  const float* scale_ub; /**< since version 4: the request's scale_ub as a number in the device's memory, which the work
                          * on the stream reads: above 0, or infinity. NULL: the request's counts; otherwise that must
                          * be 0 or infinity, and the request one that can have a scale_ub. Not looked at by
                          * kq_dequantize. */
  float* global_scale;   /**< since version 5: one number, 1 / g, KQ_SCALE_E4M3 only: a code stands for code * scale *
                          * global_scale; written by kq_quantize unless static_scale */
} kq_buffers;
#define KQ_BUFFERS_INIT \
  { sizeof(kq_buffers), NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL }

/** The sizes of a request's buffers. Begin with KQ_BUFFER_SIZES_INIT. */
typedef struct kq_buffer_sizes {
  size_t struct_size; /**< sizeof(kq_buffer_sizes) */
  size_t input_bytes; /**< from the first element of the first row to the last of the last row */
  size_t codes_bytes; /**< from the first code of the first row to the last of the last row */
  int64_t num_scales;
  size_t scales_bytes;       /**< from the first scale to the last, gaps and padding included */
  size_t zero_points_bytes;  /**< 0 unless asymmetric */
  size_t workspace_bytes;    /**< above 0 only for KQ_TENSOR, KQ_CHANNEL and KQ_SCALE_E4M3 with computed scales, and for
                              * producers */
  size_t weight_bytes;       /**< since version 4 */
  size_t residual_bytes;     /**< since version 4: of residual, and of residual_out */
  size_t extremes_bytes;     /**< since version 5: of kq_find_extremes; 0 for requests that it refuses */
  size_t global_scale_bytes; /**< since version 5: 0 unless KQ_SCALE_E4M3 */
} kq_buffer_sizes;
#define KQ_BUFFER_SIZES_INIT \
  { sizeof(kq_buffer_sizes), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/** KQ_API_VERSION of the header that the library was compiled with. */
KQ_API int kq_api_version(void);

/** The device that this library was built for: "cuda", "hip" or "host". */
KQ_API const char* kq_backend(void);

/** Since version 6: the processors that this library's code for the host is for: "x86-64", "x86-64-v2", "x86-64-v3",
 * "x86-64-v4", "aarch64", … Where several are installed, the loader chose this one for the processor that is there. */
KQ_API const char* kq_architecture(void);

/**
 * Starts Kokkos on the device with this index, 0 or more, which makes no difference on a host build. It need not be
 * called: kq_sizes, kq_prepare_stream, kq_quantize and kq_dequantize start Kokkos on device 0 if it does not run yet. A
 * Kokkos that the program itself has started is used as it is. A process uses one device: an index other than that of
 * the device it already uses is refused.
 */
KQ_API kq_status kq_initialize(int device);

/** Makes what Kokkos keeps for a stream. Needed only for a stream that is captured before any other call uses it. */
KQ_API kq_status kq_prepare_stream(void* stream);

/** Checks a request and tells the sizes of its buffers. Nothing is put on a stream. */
KQ_API kq_status kq_sizes(const kq_request* request, kq_buffer_sizes* sizes);

/** Quantizes the input: writes codes and, unless static_scale, scales and zero points. */
KQ_API kq_status kq_quantize(const kq_request* request, const kq_buffers* buffers, void* stream);

/**
 * Since version 5: a tensor that is cut into parts, one on each of several devices, quantized by scales of the whole.
 * For KQ_TENSOR, whose parts may be any, and for KQ_TOKEN, whose parts have all tokens and some of the columns each;
 * with computed scales and without a producer. Every part takes three steps on its stream, with the part's request and
 * buffers:
 *   1. kq_find_extremes writes `extremes`: floats, as many bytes as kq_sizes says, none of them NaN. It reads the input
 *      and uses the workspace; codes, scales and zero points are not looked at.
 *   2. The caller replaces each float by the greatest that any part has there: ncclAllReduce with ncclMax, or
 *      MPI_Allreduce with MPI_MAX on a host.
 *   3. kq_quantize_by_extremes writes the part's codes, and scales and zero points of the whole: the bytes that one
 *      kq_quantize of the whole tensor gives.
 * All three may be captured in a graph, if what does step 2 may. A part of no tokens has extremes too for KQ_TENSOR.
 */
KQ_API kq_status kq_find_extremes(const kq_request* request, const kq_buffers* buffers, float* extremes, void* stream);
KQ_API kq_status kq_quantize_by_extremes(const kq_request* request, const kq_buffers* buffers, const float* extremes,
                                         void* stream);

/**
 * Dequantizes: output[token * hidden_size + channel] is the number that the code there stands for. The request is that
 * of kq_quantize; its element, input_stride, producer, eps and residual_stride are not looked at, nor are the buffers'
 * input, weight, residual, residual_out and workspace.
 */
KQ_API kq_status kq_dequantize(const kq_request* request, const kq_buffers* buffers, float* output, void* stream);

/**
 * Since version 3, CUDA only: lets launches of this library in a graph overlap (programmatic dependent launch). `graph`
 * is a cudaGraph_t that was captured, or built otherwise, and is not instantiated yet: with PyTorch, raw_cuda_graph()
 * of a CUDAGraph(keep_graph=True), before its instantiate(). Between two kernels of kq_quantize of which the second
 * comes right after the first, and after nothing else, the edge becomes a programmatic one: the second starts while the
 * first one ends, and waits for that before it reads or writes a tensor. So results and their order stay as they were.
 * Edges of other kernels, of copies, and of nodes with several predecessors or successors are left as they are, and so
 * are child graphs. Devices of compute capability 9.0 or above, in a library compiled for those; for others no edge is
 * changed. A graph may be given again after more was added to it.
 *
 * `overlapped` may be NULL; otherwise it gets the number of edges that this call has changed. If the call fails the
 * graph may have lost edges: destroy it.
 */
KQ_API kq_status kq_overlap_graph(void* graph, size_t* overlapped);

/**
 * The message of the last call in this thread that failed, one line; empty if none has failed. A call that succeeds
 * does not change it. The text is valid until the next call in this thread that fails, or the thread's end: the address
 * is the same each time, so copy the text to keep it. Never NULL, never fails.
 */
KQ_API const char* kq_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
