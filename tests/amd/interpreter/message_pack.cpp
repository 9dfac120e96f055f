// SPDX-License-Identifier: Apache-2.0
#include "tests/amd/interpreter/message_pack.hpp"

#include <cstddef>
#include <stdexcept>

namespace kqbench::amd {
namespace {

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}

  MessageValue value() {
    const auto type = static_cast<unsigned>(number(1));
    MessageValue value;
    if (type <= 0x7f) {
      value.number = type;
    } else if (type <= 0x8f) {
      read_map(value, type & 15);
    } else if (type <= 0x9f) {
      read_list(value, type & 15);
    } else if (type <= 0xbf) {
      value.text = text(type & 31);
    } else if (type == 0xc0 || type == 0xc2 || type == 0xc3) {  // nil, false, true
      value.number = type == 0xc3 ? 1 : 0;
    } else if (type >= 0xcc && type <= 0xcf) {
      value.number = static_cast<std::int64_t>(number(1U << (type - 0xcc)));
    } else if (type >= 0xd0 && type <= 0xd3) {
      const unsigned bytes = 1U << (type - 0xd0);
      const unsigned shift = 64 - 8 * bytes;
      value.number = static_cast<std::int64_t>(number(bytes) << shift) >> shift;
    } else if (type >= 0xd9 && type <= 0xdb) {
      value.text = text(number(1U << (type - 0xd9)));
    } else if (type == 0xdc || type == 0xdd) {
      read_list(value, number(type == 0xdc ? 2 : 4));
    } else if (type == 0xde || type == 0xdf) {
      read_map(value, number(type == 0xde ? 2 : 4));
    } else if (type >= 0xe0) {
      value.number = static_cast<int>(type) - 256;
    } else {
      throw std::runtime_error("MessagePack: unexpected type " + std::to_string(type));
    }
    return value;
  }

 private:
  std::span<const std::byte> take(std::uint64_t count) {
    if (count > rest_.size()) throw std::runtime_error("MessagePack: ends early");
    const auto taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  std::uint64_t number(unsigned bytes) {
    std::uint64_t result = 0;
    for (const std::byte byte : take(bytes)) {
      result = result << 8 | std::to_integer<std::uint64_t>(byte);
    }
    return result;
  }
  std::string text(std::uint64_t count) {
    const auto bytes = take(count);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  void read_list(MessageValue& to, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      to.list.push_back(value());
    }
  }
  void read_map(MessageValue& to, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      std::string name = value().text;
      to.members[std::move(name)] = value();
    }
  }

  std::span<const std::byte> rest_;
};

}  // namespace

const MessageValue& MessageValue::at(const std::string& name) const {
  const auto found = members.find(name);
  if (found == members.end()) throw std::runtime_error("MessagePack: no member " + name);
  return found->second;
}

MessageValue read_message_pack(std::span<const std::byte> bytes) {
  return Reader(bytes).value();
}

}  // namespace kqbench::amd
