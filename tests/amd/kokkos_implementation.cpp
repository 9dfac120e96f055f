// SPDX-License-Identifier: Apache-2.0

// The portable kernels of one element type, as native_implementation.cpp has the native ones: those of Kokkos's HIP
// space.

#include <Kokkos_Core.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "backends/gpu/native.hpp"
#include "kokkos_kernels/src/kernels.hpp"
#include "tests/amd/implementation.hpp"

namespace kqbench {
namespace {

using Element = KQ_ELEMENT;
using Space = Kokkos::HIP;

/// By the files of kokkos_kernels/src that this program has the objects of; null: another's.
kq::detail::Enqueue<Space> function_of(const kq::Request& request) {
  const std::string family = test::family_of(request);
  if (family == "static_scale") return kq::detail::static_scale<Element, Space>;
  if (family == "dynamic_token") return kq::detail::dynamic_token<Element, Space>;
  if (family == "dynamic_tensor") return kq::detail::dynamic_tensor<Element, Space>;
  if (family == "dynamic_group") return kq::detail::dynamic_group<Element, Space>;
  if (family != "block_formats") return nullptr;
  return request.static_scale ? kq::detail::static_block_format<Element, Space>
                              : kq::detail::dynamic_block_format<Element, Space>;
}

/// Kokkos launches nothing before it is started. That starts the host's space of its library alone.
Space start() {
  static const bool started = [] {
    Kokkos::initialize(Kokkos::InitializationSettings().set_disable_warnings(true).set_num_threads(1));
    std::atexit(Kokkos::finalize);
    return true;
  }();
  static_cast<void>(started);
  return Space(hipStream_t{nullptr});
}

class PortableImplementation final : public Implementation {
 public:
  std::string_view name() const override { return "kokkos"; }
  std::string description() const override { return "portable kernels, interpreted"; }
  std::optional<std::string> unsupported_reason(const kq::Request& request) const override {
    if (request.element == test::program_element() && function_of(request) != nullptr) return std::nullopt;
    return "not in this program";
  }
  std::size_t workspace_bytes(const kq::Request& request) const override {
    if (request.num_tokens == 0 || request.static_scale) return 0;
    if (request.granularity == kq::Granularity::tensor) return kq::detail::tensor_workspace_bytes(space_, request);
    return request.granularity == kq::Granularity::group ? kq::detail::group_workspace_bytes(space_, request) : 0;
  }
  void enqueue(const kq::Request& request, const Operands& operands) override {
    if (request.num_tokens > 0) function_of(request)(space_, request, operands);
  }

 private:
  Space space_ = start();
};

}  // namespace

namespace gpu {

std::unique_ptr<Implementation> make_native_implementation(Stream, const Properties&) {
  return test::make_implementation(0, 0);
}

}  // namespace gpu

namespace test {

const char* const family_prefix = "portable_";
const bool any_launch_is_together = true;

std::string called_family_of(const kq::Request& request) {
  switch (request.granularity) {
    case kq::Granularity::group:
      return request.static_scale ? "static_group" : "dynamic_group";
    case kq::Granularity::block:
      return request.static_scale ? "static_group" : "dynamic_block";
    case kq::Granularity::tensor:
      return request.static_scale ? "static_scale" : "dynamic_tensor";
    case kq::Granularity::token:
      return request.static_scale ? "static_scale" : "dynamic_token";
    case kq::Granularity::channel:
      return request.static_scale ? "static_scale" : "dynamic_channel";
  }
  return {};
}

std::unique_ptr<Implementation> make_implementation(int reducing_blocks, std::size_t) {
  return reducing_blocks == 0 ? std::make_unique<PortableImplementation>() : nullptr;
}

}  // namespace test
}  // namespace kqbench
