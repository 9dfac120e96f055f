// SPDX-License-Identifier: Apache-2.0
#include "tests/amd/implementation.hpp"

#include <type_traits>

#include "kq/scale_rules.hpp"

namespace kqbench::test {

kq::Element program_element() {
  using Element = KQ_ELEMENT;
  if constexpr (std::is_same_v<Element, kq::half>) return kq::Element::half;
  if constexpr (std::is_same_v<Element, kq::bfloat16>) return kq::Element::bfloat16;
  return kq::Element::float32;
}

std::string quantizing_family_of(const kq::Request& request) {
  const bool has_groups = request.granularity == kq::Granularity::group;
  // The group's functions send these on.
  if (has_groups && (request.static_scale ? request.format == kq::Format::fp4_e2m1 : kq::is_block_format(request))) {
    return "block_formats";
  }
  return called_family_of(request);
}

std::string family_of(const kq::Request& request) {
  return request.producer == kq::Producer::none ? quantizing_family_of(request) : "produce";
}

}  // namespace kqbench::test
