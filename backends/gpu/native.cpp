// SPDX-License-Identifier: Apache-2.0

#include "backends/gpu/native.hpp"

#include <cstddef>
#include <string>

#include "backends/gpu/kernels.hpp"
#include "backends/gpu/launcher.hpp"
#include "backends/gpu/runtime.hpp"
#include "kq/scale_rules.hpp"

namespace kqbench::gpu {
namespace {

class NativeImplementation final : public Implementation {
 public:
  NativeImplementation(Stream stream, const Properties& properties) {
    launcher_.stream = stream;
    launcher_.multiprocessors = properties.multiProcessorCount;
#if !KQ_GPU_HIP
    // HIP's graphs do not hold launches of blocks that run at once, so it quantizes a large tensor in two launches.
    if (properties.cooperativeLaunch != 0) {
      launcher_.shared_bytes = properties.sharedMemPerBlockOptin;
      const int blocks = properties.multiProcessorCount;
      const std::size_t bytes = sizeof(std::uint64_t) * max_keys * static_cast<std::size_t>(blocks);
      void* slots = nullptr;
      check(cudaMalloc(&slots, bytes), "allocating the native kernels' slots");
      launcher_.grid_reduce = {static_cast<std::uint64_t*>(slots), blocks};
      check(cudaMemsetAsync(slots, 0, bytes, stream), "clearing the native kernels' slots");
    }
#endif
  }
  ~NativeImplementation() override {
    static_cast<void>(KQ_GPU(Free)(launcher_.grid_reduce.slots));
  }
  NativeImplementation(const NativeImplementation&) = delete;
  NativeImplementation& operator=(const NativeImplementation&) = delete;

  std::string_view name() const override {
    return "native";
  }
  std::string description() const override {
    return KQ_GPU_HIP ? "hand-written HIP kernels" : "hand-written CUDA kernels";
  }
  std::optional<std::string> unsupported_reason(const kq::Request&) const override {
    return std::nullopt;
  }

  std::size_t workspace_bytes(const kq::Request& request) const override {
    return gpu::workspace_bytes(launcher_, request);
  }

  void enqueue(const kq::Request& request, const Operands& operands) override {
    if (request.num_tokens == 0) return;
    gpu::enqueue(launcher_, request, operands,
                 [](kq::Element element, const auto& function) { kq::with_element(element, function); });
  }

 private:
  DeviceLauncher launcher_;
};

}  // namespace

std::unique_ptr<Implementation> make_native_implementation(Stream stream, const Properties& properties) {
  return std::make_unique<NativeImplementation>(stream, properties);
}

}  // namespace kqbench::gpu
