// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "backends/gpu/kernels.hpp"
#include "backends/gpu/launcher.hpp"
#include "backends/gpu/native.hpp"
#include "backends/gpu/runtime.hpp"
#include "backends/reference/reference.hpp"
#include "kq/producers.hpp"
#include "tests/amd/implementation.hpp"

namespace kqbench {
namespace {

using Element = KQ_ELEMENT;

class NativeImplementation final : public Implementation {
 public:
  NativeImplementation(gpu::Stream stream, int reducing_blocks, std::size_t shared_bytes) {
    launcher_.stream = stream;
    launcher_.multiprocessors = 2;
    if (reducing_blocks == 0) return;
    launcher_.shared_bytes = shared_bytes;
    const std::size_t bytes = sizeof(std::uint64_t) * gpu::max_keys * static_cast<std::size_t>(reducing_blocks);
    void* slots = nullptr;
    gpu::check(hipMalloc(&slots, bytes), "allocating the native kernels' slots");
    gpu::check(hipMemset(slots, 0, bytes), "clearing the native kernels' slots");
    launcher_.grid_reduce = {static_cast<std::uint64_t*>(slots), reducing_blocks};
  }
  ~NativeImplementation() override { static_cast<void>(hipFree(launcher_.grid_reduce.slots)); }
  NativeImplementation(const NativeImplementation&) = delete;
  NativeImplementation& operator=(const NativeImplementation&) = delete;

  std::string_view name() const override { return "native"; }
  std::string description() const override { return "hand-written HIP kernels, interpreted"; }
  std::optional<std::string> unsupported_reason(const kq::Request& request) const override {
    if (request.element != test::program_element()) return "not in this program";
    const bool reads_all = request.granularity == kq::Granularity::tensor && !request.static_scale;
    if (launcher_.grid_reduce.slots != nullptr && !reads_all && !kq::has_global_scale(request)) return "no blocks meet";
    return std::nullopt;
  }
  std::size_t workspace_bytes(const kq::Request& request) const override {
    if (request.producer == kq::Producer::none) return quantizer_bytes(request);
    return kq::values_offset(quantizer_bytes(request)) + kq::values_bytes(request);
  }
  void enqueue(const kq::Request& request, const Operands& operands) override {
    if (request.num_tokens == 0) return;
    if (request.producer == kq::Producer::none) return gpu::quantize<Element>(launcher_, request, operands);
    if (gpu::fused_row<Element>(launcher_, request, operands)) return;
    Operands quantized = operands;
    void* const values = static_cast<std::byte*>(operands.workspace) + kq::values_offset(quantizer_bytes(request));
    quantized.input = values;
    gpu::produce<Element>(launcher_, request, operands, values);
    gpu::check(hipStreamSynchronize(launcher_.stream), "running a producer");
    test::check_values(request, operands, values);
    const kq::Request quantizer = kq::quantizer_of(request);
    if (quantizer.element == test::program_element()) {
      gpu::quantize<Element>(launcher_, quantizer, quantized);
    } else {
      // Another program has the kernels for float values. Here the values were checked; the rest is the reference's.
      make_reference_implementation(1)->enqueue(request, operands);
    }
  }

 private:
  /// By this element's table: gpu::workspace_bytes takes another's, whose kernels this program does not have.
  std::size_t quantizer_bytes(const kq::Request& request) const {
    const auto& kernel = gpu::find_kernel<Element, gpu::DeviceLauncher>(request);
    if (kernel.workspace_bytes == nullptr || request.num_tokens == 0) return 0;
    return kernel.workspace_bytes(request, launcher_.multiprocessors);
  }

  gpu::DeviceLauncher launcher_;
};

}  // namespace

namespace gpu {

std::unique_ptr<Implementation> make_native_implementation(Stream stream, const Properties&) {
  return std::make_unique<NativeImplementation>(stream, 0, 0);
}

}  // namespace gpu

namespace test {

const char* const family_prefix = "";
const char* const other_family = "";
const bool any_launch_is_together = false;

std::string called_family_of(const kq::Request& request) {
  const auto enqueue = gpu::find_kernel<Element, gpu::DeviceLauncher>(request).enqueue;
  if (enqueue == gpu::static_scale<Element, gpu::DeviceLauncher>) return "static_scale";
  if (enqueue == gpu::static_group<Element, gpu::DeviceLauncher>) return "static_group";
  if (enqueue == gpu::dynamic_tensor<Element, gpu::DeviceLauncher>) return "dynamic_tensor";
  if (enqueue == gpu::dynamic_token<Element, gpu::DeviceLauncher>) return "dynamic_token";
  if (enqueue == gpu::dynamic_group<Element, gpu::DeviceLauncher>) return "dynamic_group";
  if (enqueue == gpu::dynamic_block<Element, gpu::DeviceLauncher>) return "dynamic_block";
  return "dynamic_channel";
}

std::unique_ptr<Implementation> make_implementation() {
  return std::make_unique<NativeImplementation>(nullptr, 0, 0);
}

std::unique_ptr<Implementation> make_other_implementation(int blocks, std::size_t shared_bytes) {
  return std::make_unique<NativeImplementation>(nullptr, blocks, shared_bytes);
}

}  // namespace test
}  // namespace kqbench
