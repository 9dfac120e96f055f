// SPDX-License-Identifier: Apache-2.0
#include "tests/backends/gpu/emulated_native.hpp"

#include <type_traits>
#include <vector>

#include "backends/gpu/block_formats.cu"
#include "backends/gpu/dynamic_block.cu"
#include "backends/gpu/dynamic_channel.cu"
#include "backends/gpu/dynamic_group.cu"
#include "backends/gpu/dynamic_tensor.cu"
#include "backends/gpu/dynamic_token.cu"
#include "backends/gpu/fused_row.cu"
#include "backends/gpu/produce.cu"
#include "backends/gpu/static_group.cu"
#include "backends/gpu/static_scale.cu"
#include "tests/backends/gpu/emulated_launcher.hpp"

namespace kqbench::gpu {

// A producer and a quantizer in one kernel are emulated for halfs: for floats, which run as two launches here, they
// take compilers minutes and gigabytes.
template <>
bool fused_row<float>(const test::EmulatedLauncher<test::EmulatedBlock<64, false>>&, const kq::Request&,
                      const Operands&) {
  return false;
}

#if KQ_QUICK_TESTS
template <>
bool fused_row<kq::half>(const test::EmulatedLauncher<test::EmulatedBlock<32, true>>&, const kq::Request&,
                         const Operands&) {
  return false;
}
#endif

}  // namespace kqbench::gpu

namespace kqbench::test {
namespace {

template <Waves waves>
class EmulatedNative final : public Implementation {
  using Block = EmulatedBlock<waves == Waves::of_64 ? 64 : 32, waves == Waves::of_32_with_max>;

 public:
  EmulatedNative(LaneOrder order, int reducing_blocks, std::size_t shared_bytes)
      : slots_(static_cast<std::size_t>(gpu::max_keys * reducing_blocks)) {
    launcher_.lanes = &lanes_;
    launcher_.order = order;
    launcher_.shared_bytes = shared_bytes;
    launcher_.grid_reduce = {slots_.data(), reducing_blocks};
  }

  std::string_view name() const override { return "emulated native"; }
  std::string description() const override { return "native kernels in emulated waves"; }
  std::optional<std::string> unsupported_reason(const kq::Request& request) const override {
    constexpr kq::Element element = emulated_element(waves);
    if (request.element == element && kq::value_element(request) == element) return std::nullopt;
    return "not emulated";
  }
  std::size_t workspace_bytes(const kq::Request& request) const override {
    return gpu::workspace_bytes(launcher_, request);
  }
  void enqueue(const kq::Request& request, const Operands& operands) override {
    gpu::enqueue(launcher_, request, operands, [](kq::Element, const auto& function) {
      function(std::conditional_t<emulated_element(waves) == kq::Element::float32, float, kq::half>{});
    });
  }

 private:
  Lanes lanes_;
  std::vector<std::uint64_t> slots_;
  EmulatedLauncher<Block> launcher_;
};

/// Launches nothing, but counts.
struct CountingLauncher {
  int multiprocessors = 2;
  std::size_t shared_bytes = 0;
  gpu::GridReduceWorkspace grid_reduce{nullptr, 0};
  int* count = nullptr;

  template <class Kernel>
  void launch(const Kernel&, std::int64_t) const {
    ++*count;
  }
  template <class Kernel>
  void launch_together(const Kernel&, int, std::size_t) const {
    ++*count;
  }
};

}  // namespace

int launches_of(const kq::Request& request, bool aligned) {
  alignas(16) static std::byte memory[32];
  int count = 0;
  CountingLauncher launcher;
  launcher.count = &count;
  Operands operands;
  operands.input = memory + (aligned ? 0 : 2);
  operands.codes = operands.scales = operands.residual_out = operands.workspace = memory;
  operands.weight = operands.residual = memory;
  gpu::enqueue(launcher, request, operands, [](kq::Element, const auto& function) { function(kq::half{}); });
  return count;
}

std::unique_ptr<Implementation> make_emulated_native(Waves waves, LaneOrder order, int reducing_blocks,
                                                     std::size_t shared_bytes) {
  switch (waves) {
    case Waves::of_32_with_max:
      return std::make_unique<EmulatedNative<Waves::of_32_with_max>>(order, reducing_blocks, shared_bytes);
    case Waves::of_64:
      if constexpr (emulates_all) {
        return std::make_unique<EmulatedNative<Waves::of_64>>(order, reducing_blocks, shared_bytes);
      }
      break;
  }
  return nullptr;
}

}  // namespace kqbench::test
