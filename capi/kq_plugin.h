/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KQ_PLUGIN_H
#define KQ_PLUGIN_H

/**
 * \file
 * Your own kernel in kqbench. A plug-in is a shared library that defines kq_plugin_at(); `kqbench run --plugin
 * ./mine.so` verifies and times its kernels as it does its own. docs/your_own_kernel.md goes through an example.
 *
 *     static const char* enqueue(const kq_request* r, const kq_buffers* b, void* stream) {
 *       my_kernel<<<r->num_tokens, 256, 0, (cudaStream_t)stream>>>(...);
 *       cudaError_t error = cudaGetLastError();
 *       return error == cudaSuccess ? NULL : cudaGetErrorString(error);
 *     }
 *     const kq_plugin* kq_plugin_at(int index) {
 *       static kq_plugin mine = KQ_PLUGIN_INIT;
 *       mine.name = "mine"; mine.backend = "cuda"; mine.why_not = why_not; mine.enqueue = enqueue;
 *       return index == 0 ? &mine : NULL;
 *     }
 *
 * Requests: `request` is one that kq_sizes takes, with its defaults filled in: strides and qmax are never 0, and
 * scale_ub is infinity where there is no bound. It has a token or more. kq.h and numerics.md say what must be written
 * where.
 *
 * Buffers: `input`, `codes`, `scales` and `zero_points` as in kq.h, those that the request has, each aligned to its
 * element and to the plug-in's `alignment`; `workspace` has as many bytes as workspace_bytes() said, aligned to 256, 0
 * before the first launch and then as launches leave it. Nothing else may be written: neither the gaps between rows,
 * nor what lies behind a tensor, nor the input; and nothing else may be read.
 *
 * Streams: `stream` is a cudaStream_t or a hipStream_t of the current device; all work goes there, and enqueue()
 * returns without waiting for it. The stream may be captured into a graph at any call: nothing may be allocated on the
 * device, synchronized, or put on another stream. On a host `stream` is NULL, and the work is done when enqueue()
 * returns.
 *
 * Processes: the first launches for each request are made in a process of their own, so that a crash costs the
 * kernel's rows alone. A plug-in may be loaded, and each function called, in several processes and any number of times,
 * from one thread at a time. No exception may leave a function.
 *
 * Texts: ASCII, one line each.
 *
 * Versions: as in kq.h. A plug-in that was compiled with an older header runs in a newer kqbench. One that was compiled
 * with a newer header runs in an older kqbench as long as it leaves the fields 0 that that does not know.
 */

#include "kq.h"

#define KQ_PLUGIN_VERSION 1 /**< that of this header; grows with every addition to it */

/** Of a kernel that gives the bytes of whatever dialect a request asks for, or says in why_not() that it does not. */
#define KQ_PLUGIN_ANY_DIALECT (-1)

#ifdef __cplusplus
extern "C" {
#endif

/** A kernel. Begin with KQ_PLUGIN_INIT. The text and functions that it points to stay as long as the library is loaded.
 */
typedef struct kq_plugin {
  size_t struct_size; /**< sizeof(kq_plugin) */

  /** What its rows are called: 1 to 40 of the characters a-z A-Z 0-9 _ . + -, and none of kqbench's own names. */
  const char* name;
  /** One line for people: whose kernel, which version, how it was compiled. NULL: none. */
  const char* description;
  /** Where it runs: "host", "cuda" or "hip". */
  const char* backend;
  /** Whose bytes it gives, one of KQ_DIALECT_*: what its outputs are compared with unless --dialect says otherwise. */
  int32_t dialect;
  /**
   * CUDA only. 1: every kernel that it launches waits (cudaGridDependencySynchronize, griddepcontrol.wait) before it
   * first reads or writes global memory, and the kernel's name, mangled or not, contains WaitsForPrerequisites. Then
   * `--launch overlapped` may start it while the launch in front of it ends; kqbench tries whether it waits. 0: it is
   * left out of overlapped runs.
   */
  int32_t waits_for_prerequisites;
  /** Bytes that input and codes must be aligned to, a power of two up to 256. 0: each to its element alone. What rows
   * must be aligned to is for why_not() to say, which sees the strides. */
  int32_t alignment;
  int32_t api_version; /**< KQ_API_VERSION of the kq.h it was compiled with: fields added later are then never set */

  /** Why it does not serve a request, in one line that is valid until the next call; NULL if it does. */
  const char* (*why_not)(const kq_request* request);
  /** Bytes of workspace that a launch needs, asked of requests that it serves. A kernel that asks for more than is free
   * is refused the request. NULL: 0. */
  size_t (*workspace_bytes)(const kq_request* request);
  /** Host only: told how many threads the others work with, says with how many it will. NULL: 1. */
  int32_t (*host_threads)(int32_t others);
  /** Puts one launch on the stream. NULL if that was done, otherwise what failed, in one line. */
  const char* (*enqueue)(const kq_request* request, const kq_buffers* buffers, void* stream);
} kq_plugin;
#define KQ_PLUGIN_INIT \
  { sizeof(kq_plugin), NULL, NULL, NULL, KQ_DIALECT_KQBENCH, 0, 0, KQ_API_VERSION, NULL, NULL, NULL, NULL }

/** What a plug-in defines: its kernels, counted from 0; NULL behind the last. */
KQ_API const kq_plugin* kq_plugin_at(int index);

#ifdef __cplusplus
}
#endif

#endif
