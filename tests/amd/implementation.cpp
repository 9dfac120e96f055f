// SPDX-License-Identifier: Apache-2.0
#include "tests/amd/implementation.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "backends/reference/producers.hpp"
#include "kq/producers.hpp"
#include "kq/scale_rules.hpp"

namespace kqbench::test {

kq::Element program_element() {
  using Element = KQ_ELEMENT;
  if constexpr (std::is_same_v<Element, kq::half>) return kq::Element::half;
  if constexpr (std::is_same_v<Element, kq::bfloat16>) return kq::Element::bfloat16;
  return kq::Element::float32;
}

std::string quantizing_family_of(const kq::Request& request) {
  const bool is_sent_on = request.static_scale ? request.format == kq::Format::fp4_e2m1 : kq::is_block_format(request);
  // The functions of groups send them on, and so do the native ones of blocks.
  const bool is_native = *family_prefix == '\0';
  const bool by_blocks = is_native && request.granularity == kq::Granularity::block;
  if (is_sent_on && (by_blocks || request.granularity == kq::Granularity::group)) return "block_formats";
  return called_family_of(request);
}

std::string family_of(const kq::Request& request) {
  return request.producer == kq::Producer::none ? quantizing_family_of(request) : "produce";
}

void check_values(const kq::Request& request, const Operands& operands, const void* values) {
  std::vector<std::byte> residual_out(static_cast<std::size_t>(request.num_tokens * request.residual_stride) *
                                      kq::element_size(request.element));
  Operands given = operands;
  given.residual_out = residual_out.data();
  const std::vector<std::byte> expected = reference_detail::produce(1, request, given);
  const auto wrong = std::mismatch(expected.begin(), expected.end(), static_cast<const std::byte*>(values)).first;
  if (wrong == expected.end()) return;
  const auto index =
      (wrong - expected.begin()) / static_cast<std::ptrdiff_t>(kq::element_size(kq::value_element(request)));
  throw DeviceError("values[token " + std::to_string(index / request.hidden_size) + ", channel " +
                    std::to_string(index % request.hidden_size) + "] differs from the reference's");
}

}  // namespace kqbench::test
