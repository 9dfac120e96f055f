// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Reads MessagePack (https://msgpack.org), in which code objects say what their kernels take.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace kqbench::amd {

/// A value as far as code objects have them: a number, a string, a list or a map from strings. What it is not is empty.
struct MessageValue {
  std::int64_t number = 0;
  std::string text;
  std::vector<MessageValue> list;
  std::map<std::string, MessageValue> members;

  /// The member of that name; throws std::runtime_error if there is none.
  const MessageValue& at(const std::string& name) const;
};

/// Throws std::runtime_error where the bytes end early or have a type that no code object has.
MessageValue read_message_pack(std::span<const std::byte> bytes);

}  // namespace kqbench::amd
