// SPDX-License-Identifier: Apache-2.0
#include "bench/results/request_json.hpp"

#include <string>
#include <type_traits>
#include <variant>

#include "kq/parameters.hpp"

namespace kqbench {
namespace {

nlohmann::ordered_json value_json(const kq::ParameterValue& value) {
  return std::visit(
      [](const auto& v) {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::monostate>) {
          return nlohmann::ordered_json(nullptr);
        } else {
          return nlohmann::ordered_json(v);
        }
      },
      value);
}

}  // namespace

void add_request(nlohmann::ordered_json& json, const kq::Request& request) {
  for (const kq::Parameter& parameter : kq::parameters()) {
    json[std::string(parameter.name)] = value_json(parameter.get(request));
  }
}

}  // namespace kqbench
