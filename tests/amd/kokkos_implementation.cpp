// SPDX-License-Identifier: Apache-2.0

// The portable kernels of one element type, as native_implementation.cpp has the native ones: those of Kokkos's HIP
// space.

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "backends/gpu/native.hpp"
#include "backends/gpu/runtime.hpp"
#include "backends/reference/reference.hpp"
#include "kokkos_kernels/src/channel_workspace.hpp"
#include "kokkos_kernels/src/extremes.hpp"
#include "kokkos_kernels/src/kernels.hpp"
#include "kokkos_kernels/src/produce.hpp"
#include "kq/producers.hpp"
#include "kq/scale_rules.hpp"
#include "tests/amd/implementation.hpp"

namespace kqbench {
namespace {

using Element = KQ_ELEMENT;
using Space = Kokkos::HIP;

/// By the files of kokkos_kernels/src that this program has the objects of; null: another's. Only what is named here is
/// linked.
kq::detail::Enqueue<Space> function_of(const kq::Request& request) {
  const std::string family = test::quantizing_family_of(request);
  if (family == "static_scale") return kq::detail::static_scale<Element, Space>;
  if (family == "dynamic_token") return kq::detail::dynamic_token<Element, Space>;
  if (family == "dynamic_tensor") return kq::detail::dynamic_tensor<Element, Space>;
  if (family == "dynamic_group") return kq::detail::dynamic_group<Element, Space>;
#ifdef KQ_AMD_ALL_FAMILIES
  if (family == "static_group") return kq::detail::static_group<Element, Space>;
  if (family == "dynamic_block") return kq::detail::dynamic_block<Element, Space>;
  if (family == "dynamic_channel") return kq::detail::dynamic_channel<Element, Space>;
#endif
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

class PortableImplementation : public Implementation {
 public:
  std::string_view name() const override { return "kokkos"; }
  std::string description() const override { return "portable kernels, interpreted"; }
  std::optional<std::string> unsupported_reason(const kq::Request& request) const override {
    const bool is_here = has_all_families || request.producer == kq::Producer::none;
    if (is_here && request.element == test::program_element() && function_of(request) != nullptr) return std::nullopt;
    return "not in this program";
  }
  std::size_t workspace_bytes(const kq::Request& request) const override {
    if (request.producer == kq::Producer::none) return quantizer_bytes(request);
    return kq::values_offset(quantizer_bytes(request)) + kq::values_bytes(request);
  }
  void enqueue(const kq::Request& request, const Operands& operands) override {
    if (request.num_tokens == 0) return;
    if (request.producer == kq::Producer::none) return function_of(request)(space_, request, operands);
    enqueue_with_producer(request, operands);
  }

 protected:
#ifdef KQ_AMD_ALL_FAMILIES
  static constexpr bool has_all_families = true;
#else
  static constexpr bool has_all_families = false;
#endif

  Space space_ = start();

 private:
  std::size_t quantizer_bytes(const kq::Request& request) const {
    if (request.num_tokens == 0 || request.static_scale) return 0;
    switch (request.granularity) {
      case kq::Granularity::tensor:
        return kq::detail::tensor_workspace_bytes(space_, request);
      case kq::Granularity::channel:
        return kq::detail::channel_workspace_bytes(space_, request);
      case kq::Granularity::group:
      case kq::Granularity::block:
        return kq::detail::group_workspace_bytes(space_, request);
      case kq::Granularity::token:
        return 0;
    }
    return 0;
  }

  /// As kq::enqueue does: in one launch where there is such a kernel, in two elsewhere.
  void enqueue_with_producer([[maybe_unused]] const kq::Request& request, [[maybe_unused]] const Operands& operands) {
#ifdef KQ_AMD_ALL_FAMILIES
    if (kq::detail::enqueue_fused<Element>(space_, request, operands)) return;
    Operands quantized = operands;
    void* const values = static_cast<std::byte*>(operands.workspace) + kq::values_offset(quantizer_bytes(request));
    quantized.input = values;
    kq::detail::produce<Element>(space_, request, operands, values);
    space_.fence("running a producer");
    test::check_values(request, operands, values);
    const kq::Request quantizer = kq::quantizer_of(request);
    if (quantizer.element == test::program_element()) {
      function_of(quantizer)(space_, quantizer, quantized);
    } else {
      // Another program has the kernels for float values. Here the values were checked; the rest is the reference's.
      make_reference_implementation(1)->enqueue(request, operands);
    }
#endif
  }
};

#ifdef KQ_AMD_ALL_FAMILIES

/// Dynamic scales of tensors and tokens in two halves.
class PortableHalves final : public PortableImplementation {
 public:
  std::string description() const override { return "portable kernels in two halves, interpreted"; }
  std::optional<std::string> unsupported_reason(const kq::Request& request) const override {
    if (kq::why_not_sharded(request)) return "not in halves";
    return PortableImplementation::unsupported_reason(request);
  }
  void enqueue(const kq::Request& request, const Operands& operands) override {
    if (request.num_tokens == 0) return;
    const bool of_tensor = request.granularity == kq::Granularity::tensor;
    std::int64_t maxima = 0;  // for each scale
    const auto see = [&]<class Rule>(const Rule&) { maxima = Rule::Reduction::count; };
    of_tensor ? kq::with_tensor_rule<Element>(request, see) : kq::with_token_rule<Element>(request, nullptr, see);
    void* memory = nullptr;
    gpu::check(hipMalloc(&memory, sizeof(float) * static_cast<std::size_t>(maxima * kq::num_scales(request))),
               "allocating extremes");
    float* const extremes = static_cast<float*>(memory);
    if (of_tensor) {
      kq::detail::tensor_extremes<Element>(space_, request, operands, extremes);
      kq::detail::tensor_by_extremes<Element>(space_, request, operands, extremes);
    } else {
      kq::detail::token_extremes<Element>(space_, request, operands, extremes);
      kq::detail::token_by_extremes<Element>(space_, request, operands, extremes);
    }
    space_.fence("quantizing in two halves");
    gpu::check(hipFree(memory), "freeing extremes");
  }
};

#endif

}  // namespace

namespace gpu {

std::unique_ptr<Implementation> make_native_implementation(Stream, const Properties&) {
  return test::make_implementation();
}

}  // namespace gpu

namespace test {

const char* const family_prefix = "portable_";
const char* const other_family = "extremes";
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

std::unique_ptr<Implementation> make_implementation() {
  return std::make_unique<PortableImplementation>();
}

std::unique_ptr<Implementation> make_other_implementation(int, std::size_t) {
#ifdef KQ_AMD_ALL_FAMILIES
  return std::make_unique<PortableHalves>();
#else
  return nullptr;
#endif
}

}  // namespace test
}  // namespace kqbench
