// SPDX-License-Identifier: Apache-2.0
//
// Memory runs out in a call of the C interface. This replaces operator new, for the library too.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "kq.h"

namespace {

thread_local bool memory_is_out = false;
thread_local int refusals = 0;

}  // namespace

void* operator new(std::size_t size) {
  refusals += memory_is_out ? 1 : 0;
  void* const address = memory_is_out ? nullptr : std::malloc(size);
  if (address == nullptr) throw std::bad_alloc();
  return address;
}

void operator delete(void* address) noexcept {
  std::free(address);
}

void operator delete(void* address, std::size_t /*size*/) noexcept {
  std::free(address);
}

namespace {

TEST(OutOfMemory, HasItsStatusAndMessage) {
  kq_request request = KQ_REQUEST_INIT;
  kq_buffer_sizes sizes = KQ_BUFFER_SIZES_INIT;
  request.granularity = -1;
  memory_is_out = true;
  const kq_status status = kq_sizes(&request, &sizes);
  const char* const message = kq_last_error();
  memory_is_out = false;
  if (refusals == 0 && status == KQ_INVALID_ARGUMENT) {
    GTEST_SKIP() << "the library brings an operator new of its own, as with some compilers' static libstdc++";
  }
  EXPECT_EQ(status, KQ_OUT_OF_MEMORY);
  EXPECT_STREQ(message, "out of memory");
  EXPECT_EQ(kq_sizes(&request, &sizes), KQ_INVALID_ARGUMENT);
  EXPECT_STREQ(message, "granularity: must be KQ_TENSOR, KQ_TOKEN, KQ_CHANNEL, KQ_GROUP or KQ_BLOCK, not -1");
}

}  // namespace
