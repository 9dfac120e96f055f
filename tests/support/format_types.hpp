// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Formats as the types of typed tests.

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "kq/format.hpp"

namespace kqbench::test {

template <class Format>
struct IsFloat : std::bool_constant<!Format::is_integer> {};

template <class Format>
struct IsByte : std::bool_constant<Format::code_bits == 8> {};

namespace detail {

template <template <class> class Is, class... Formats>
auto chosen(kq::FormatList<Formats...>) {
  return std::tuple_cat(std::conditional_t<Is<Formats>::value, std::tuple<Formats>, std::tuple<>>()...);
}

template <class... Formats>
::testing::Types<Formats...> types(std::tuple<Formats...>);

}  // namespace detail

/// ::testing::Types of all formats for which Is<Format> is true.
template <template <class> class Is>
using FormatTypes = decltype(detail::types(detail::chosen<Is>(kq::AllFormats())));

/// function(Format{}) for every format.
template <class Function, class... Formats>
void for_each_format(const Function& function, kq::FormatList<Formats...>) {
  (function(Formats()), ...);
}
template <class Function>
void for_each_format(const Function& function) {
  for_each_format(function, kq::AllFormats());
}

struct FormatName {
  template <class Format>
  static std::string GetName(int) {
    return std::string(Format::name);
  }
};

}  // namespace kqbench::test
