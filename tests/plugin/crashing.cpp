// SPDX-License-Identifier: Apache-2.0

// A library that crashes when it is asked for its kernels.

#include <cstdlib>

#include "capi/kq_plugin.h"

extern "C" const kq_plugin* kq_plugin_at(int /*index*/) {
  std::abort();
}
