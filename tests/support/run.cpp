// SPDX-License-Identifier: Apache-2.0
#include "tests/support/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "bench/measure/device_memory.hpp"
#include "kq/element.hpp"
#include "tests/support/host_tensors.hpp"

namespace kqbench::test {
namespace {

constexpr std::byte poison{0xa5};
constexpr std::size_t guard_bytes = 256;

/// A tensor in device memory at a chosen misalignment, with bytes before and after it that nobody may write.
class Guarded {
 public:
  Guarded(Device& device, std::size_t bytes, std::size_t shift)
      : device_(device), bytes_(bytes), begin_(guard_bytes + shift), memory_(device, begin_ + bytes + guard_bytes) {
    device.fill(memory_.data(), static_cast<unsigned char>(poison), memory_.size());
  }

  std::byte* data() const { return memory_.data() + begin_; }

  void write(const void* from) { device_.copy_to_device(data(), from, bytes_); }

  /// Guards, contents and guards, on the host.
  void read() {
    all_.resize(memory_.size());
    device_.copy_to_host(all_.data(), memory_.data(), all_.size());
  }
  std::span<const std::byte> contents() const { return std::span(all_).subspan(begin_, bytes_); }

  /// How far from the tensor a byte was written: negative before its first one, positive after its last one; 0 if none.
  std::int64_t trespass() const {
    for (std::size_t i = begin_; i-- > 0;) {
      if (all_[i] != poison) return static_cast<std::int64_t>(i) - static_cast<std::int64_t>(begin_);
    }
    for (std::size_t i = begin_ + bytes_; i < all_.size(); ++i) {
      if (all_[i] != poison) return static_cast<std::int64_t>(i - begin_ - bytes_) + 1;
    }
    return 0;
  }

 private:
  Device& device_;
  std::size_t bytes_;
  std::size_t begin_;
  DeviceMemory memory_;
  std::vector<std::byte> all_;
};

std::optional<std::string> describe_trespass(const char* name, const Guarded& memory) {
  const std::int64_t distance = memory.trespass();
  if (distance == 0) return std::nullopt;
  return fmt::format("wrote {} byte(s) {} the {}", std::abs(distance), distance < 0 ? "before" : "after", name);
}

/// "0x3c00 (1)"
std::string describe_element(const kq::Request& request, const std::byte* input, std::int64_t index) {
  if (request.element == kq::Element::float32) {
    float value = 0.0f;
    std::memcpy(&value, input + static_cast<std::size_t>(index) * sizeof value, sizeof value);
    return fmt::format("{:#010x} ({})", std::bit_cast<std::uint32_t>(value), value);
  }
  std::uint16_t bits = 0;
  std::memcpy(&bits, input + static_cast<std::size_t>(index) * sizeof bits, sizeof bits);
  const float value =
      request.element == kq::Element::half ? kq::to_float(kq::half{bits}) : kq::to_float(kq::bfloat16{bits});
  return fmt::format("{:#06x} ({})", bits, value);
}

/// Scale number `index` as stored.
std::string describe_scale(const kq::Request& request, std::span<const std::byte> scales, std::int64_t index) {
  if (kq::scale_size(request) == 1) {
    return fmt::format("{:#04x}", std::to_integer<unsigned>(scales[static_cast<std::size_t>(index)]));
  }
  float value = 0.0f;
  std::memcpy(&value, scales.data() + static_cast<std::size_t>(index) * sizeof value, sizeof value);
  return fmt::format("{:#010x} ({})", std::bit_cast<std::uint32_t>(value), value);
}

std::size_t count_different(std::span<const std::byte> a, std::span<const std::byte> b) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    count += a[i] != b[i] ? 1 : 0;
  }
  return count;
}

std::optional<std::string> compare_codes(const Problem& p, std::span<const std::byte> found) {
  const std::span<const std::byte> expected = p.expected.codes;
  const auto [in_found, in_expected] = std::mismatch(found.begin(), found.end(), expected.begin());
  if (in_found == found.end()) return std::nullopt;
  const kq::Request& r = p.request;
  const std::int64_t position = in_found - found.begin();
  const std::int64_t token = position / r.codes_stride;
  const std::int64_t channel = position % r.codes_stride;
  const std::size_t wrong = count_different(found, expected);
  if (channel >= r.hidden_size) {
    return fmt::format("wrote between rows: code {} behind the end of token {}; {} bytes are wrong",
                       channel - r.hidden_size, token, wrong);
  }
  const std::int64_t scale = kq::scale_index(r, token, channel);
  std::string text =
      fmt::format("codes[token {}, channel {}] is {:#04x} and must be {:#04x}; input {}, scale {}", token, channel,
                  std::to_integer<unsigned>(*in_found), std::to_integer<unsigned>(*in_expected),
                  describe_element(r, p.given.input.data(), token * r.input_stride + channel),
                  describe_scale(r, p.expected.scales, scale));
  if (r.asymmetric) {
    text += fmt::format(", zero point {}",
                        numbers_of<std::int32_t>(p.expected.zero_points)[static_cast<std::size_t>(scale)]);
  }
  return text + fmt::format("; {} of {} bytes are wrong", wrong, found.size());
}

/// A number of a list as a person reads it: a scale, a zero point.
std::string describe_number(const kq::Request& r, const kq::TensorSpec& tensor, std::span<const std::byte> bytes,
                            std::size_t index) {
  if (tensor.name == "scales") return describe_scale(r, bytes, static_cast<std::int64_t>(index));
  return fmt::format("{}", numbers_of<std::int32_t>(bytes)[index]);
}

/// Of a tensor other than codes.
std::optional<std::string> compare_list(const Problem& p, const kq::TensorSpec& tensor,
                                        std::span<const std::byte> found) {
  const std::span<const std::byte> expected = p.expected.*tensor.on_host;
  const auto [in_found, in_expected] = std::mismatch(found.begin(), found.end(), expected.begin());
  if (in_found == found.end()) return std::nullopt;
  const auto offset = static_cast<std::size_t>(in_found - found.begin());
  const std::size_t index = offset / tensor.element_bytes;
  return fmt::format("{} is {} and must be {}", tensor.describe(offset),
                     describe_number(p.request, tensor, found, index),
                     describe_number(p.request, tensor, expected, index));
}

/// Memory for the tensors of a problem that are written or are lists, guarded on both sides.
std::vector<std::unique_ptr<Guarded>> guarded_memory(Device& device, const kq::TensorList& tensors,
                                                     const Placement& placement) {
  std::vector<std::unique_ptr<Guarded>> memory;
  for (const kq::TensorSpec& tensor : tensors) {
    const auto shift = static_cast<std::size_t>(tensor.is_matrix ? placement.codes : placement.scales);
    const bool is_input = tensor.is_source;
    memory.push_back(is_input ? nullptr
                              : std::make_unique<Guarded>(device, tensor.bytes(), shift * tensor.element_bytes));
  }
  return memory;
}

/// With `given_bound` the candidate reads the request's scale_ub from the device's memory.
std::optional<std::string> complaint(const Candidate& candidate, const Problem& p, const Placement& placement,
                                     bool given_bound) {
  kq::Request r = p.request;
  Implementation& implementation = *candidate.implementation;
  Device& device = *candidate.device;
  if (const auto refusal = implementation.unsupported_reason(r)) return "refuses: " + *refusal;

  const kq::TensorList tensors = kq::tensors(r);
  const auto memory = guarded_memory(device, tensors, placement);
  std::vector<DeviceMemory> inputs;
  Operands operands;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const kq::TensorSpec& tensor = tensors[i];
    const std::vector<std::byte>& given = p.given.*tensor.on_host;
    if (memory[i]) {
      if (!tensor.is_written) memory[i]->write(given.data());
      tensor.set(operands, memory[i]->data());
    } else {
      // It ends where its memory ends, so that a tool which watches memory sees a read beyond it.
      const std::size_t shift = static_cast<std::size_t>(placement.input) * tensor.element_bytes;
      inputs.emplace_back(device, shift + given.size());
      device.copy_to_device(inputs.back().data() + shift, given.data(), given.size());
      tensor.set(operands, inputs.back().data() + shift);
    }
  }
  Guarded workspace(device, implementation.workspace_bytes(r), 0);
  const std::vector<std::byte> zeros(implementation.workspace_bytes(r));
  workspace.write(zeros.data());
  operands.workspace = workspace.data();
  const DeviceMemory bound(device, sizeof r.scale_ub);
  if (given_bound) {
    device.copy_to_device(bound.data(), &r.scale_ub, sizeof r.scale_ub);
    operands.scale_ub = reinterpret_cast<const float*>(bound.data());
    r.scale_ub = std::numeric_limits<float>::infinity();
  }
  implementation.enqueue(r, operands);
  device.synchronize();

  workspace.read();
  // Codes last: they follow from the rest.
  std::optional<std::string> wrong_codes;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!memory[i]) continue;
    memory[i]->read();
    if (tensors[i].name == "codes") {
      wrong_codes = compare_codes(p, memory[i]->contents());
    } else if (auto wrong = compare_list(p, tensors[i], memory[i]->contents())) {
      return wrong;
    }
  }
  if (wrong_codes) return wrong_codes;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!memory[i]) continue;
    if (auto wrong = describe_trespass(tensors[i].name.data(), *memory[i])) return wrong;
  }
  return describe_trespass("workspace", workspace);
}

}  // namespace

std::string describe(const kq::Request& r) {
  std::string text = fmt::format("{} to {}, {}, {} x {}", kq::to_string(r.element), kq::to_string(r.format),
                                 kq::operation_name(r), r.num_tokens, r.hidden_size);
  if (r.input_stride != r.hidden_size || r.codes_stride != r.hidden_size) {
    text += fmt::format(", rows {} and {} apart", r.input_stride, r.codes_stride);
  }
  if (r.qmax != kq::format_max(r.format)) text += fmt::format(", qmax {}", r.qmax);
  if (r.scale_ub < std::numeric_limits<float>::infinity()) text += fmt::format(", scale_ub {}", r.scale_ub);
  return text;
}

std::optional<std::string> run(const Candidate& candidate, const Problem& problem, const Placement& placement) {
  auto text = complaint(candidate, problem, placement, false);
  const bool is_bounded = problem.request.granularity == kq::Granularity::token &&
                          problem.request.scale_ub < std::numeric_limits<float>::infinity();
  const bool given_bound = !text && is_bounded;
  if (given_bound) text = complaint(candidate, problem, placement, true);
  if (!text) return std::nullopt;
  std::string where = describe(problem.request);
  if (given_bound) where += " in the device's memory";
  if (placement != Placement{}) {
    where += fmt::format(", shifted by {}, {} and {} elements", placement.input, placement.codes, placement.scales);
  }
  return fmt::format("{}: {}: {}", candidate.name, where, *text);
}

std::optional<std::string> run_all(const Problem& problem, const Placement& placement) {
  for (const Candidate& candidate : candidates()) {
    if (auto text = run(candidate, problem, placement)) return text;
  }
  return std::nullopt;
}

}  // namespace kqbench::test
