// SPDX-License-Identifier: Apache-2.0
#include "tests/backends/gpu/emulated_native.hpp"

#include <vector>

#include "backends/gpu/dynamic_group_family.hpp"
#include "backends/gpu/dynamic_tensor_family.hpp"
#include "backends/gpu/dynamic_token_family.hpp"
#include "backends/gpu/families.hpp"
#include "backends/gpu/static_scale_family.hpp"
#include "tests/backends/gpu/emulated_launcher.hpp"

namespace kqbench::test {
namespace {

template <class Block, bool has_floats>
class EmulatedNative final : public Implementation {
 public:
  EmulatedNative(LaneOrder order, int meeting_blocks, std::size_t shared_bytes)
      : slots_(static_cast<std::size_t>(gpu::max_keys * meeting_blocks)) {
    launcher_.lanes = &lanes_;
    launcher_.order = order;
    launcher_.shared_bytes = shared_bytes;
    launcher_.meeting = {slots_.data(), meeting_blocks};
  }

  std::string_view name() const override { return "emulated native"; }
  std::string description() const override { return "native kernels in emulated waves"; }
  std::optional<std::string> refusal(const kq::Request& request) const override {
    if (request.element == kq::Element::half) return std::nullopt;
    if (has_floats && request.element == kq::Element::float32) return std::nullopt;
    return "not emulated";
  }
  std::size_t workspace_bytes(const kq::Request&) const override {
    return sizeof(std::uint32_t) * gpu::max_keys *
           static_cast<std::size_t>(gpu::max_slice_blocks(launcher_.multiprocessors));
  }
  void enqueue(const kq::Request& request, const Operands& operands) override {
    if constexpr (has_floats) {
      if (request.element == kq::Element::float32) return gpu::quantize<float>(launcher_, request, operands);
    }
    gpu::quantize<kq::half>(launcher_, request, operands);
  }

 private:
  Lanes lanes_;
  std::vector<std::uint64_t> slots_;
  EmulatedLauncher<Block> launcher_;
};

template <Waves waves, int lanes, bool has_max, bool wanted = true>
std::unique_ptr<Implementation> make(LaneOrder order, int meeting_blocks, std::size_t shared_bytes) {
  if constexpr (wanted) {
    return std::make_unique<EmulatedNative<EmulatedBlock<lanes, has_max>, emulates_floats(waves)>>(
        order, meeting_blocks, shared_bytes);
  } else {
    return nullptr;
  }
}

}  // namespace

std::unique_ptr<Implementation> make_emulated_native(Waves waves, LaneOrder order, int meeting_blocks,
                                                     std::size_t shared_bytes) {
  switch (waves) {
    case Waves::of_32_with_max:
      return make<Waves::of_32_with_max, 32, true>(order, meeting_blocks, shared_bytes);
    case Waves::of_32:
      return make<Waves::of_32, 32, false, emulates_all>(order, meeting_blocks, shared_bytes);
    case Waves::of_64:
      return make<Waves::of_64, 64, false>(order, meeting_blocks, shared_bytes);
  }
  return nullptr;
}

}  // namespace kqbench::test
