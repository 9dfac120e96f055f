// SPDX-License-Identifier: Apache-2.0

// Loads, stores and atomic operations of lanes: of global memory, of LDS, and of memory private to a lane. An access
// outside of what there is, by an address or of a number that was never written, is an error.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

#include "tests/amd/interpreter/lanes.hpp"

namespace kqbench::amd {
namespace {

using U = std::uint32_t;
using I = std::int32_t;
using U64 = std::uint64_t;
using I64 = std::int64_t;

/// What an access moves, packed into Operation::number.
enum Access : int {
  bytes_mask = 0x1f,  ///< of each lane
  is_signed = 0x20,   ///< extended to a register by its sign
  lower_half = 0x40,  ///< of 16 bits: to the register's lower half, the upper one stays
  upper_half = 0x80,  ///< to or from its upper half
};

enum class Space : std::uint8_t { global, flat, scratch, buffer };

struct Place {
  std::byte* address;
  std::uint8_t* written;  ///< of LDS, else null
};

[[noreturn]] void refuse(const Wave& wave, const char* verb, std::size_t bytes, int lane, U64 address,
                         const char* space) {
  std::string text = std::string(verb) + ' ' + std::to_string(bytes) + " bytes of " + space +
                     " where it must not, in lane " + std::to_string(lane) + ": ";
  if (std::string(space) == "global memory")
    text += wave.memory.describe(address);
  else
    text += "address " + std::to_string(address) + " of " +
            std::to_string(space[0] == 'L' ? wave.group.shared.size() : wave.private_size);
  throw ExecutionError(text);
}

Place in_shared(Wave& wave, U64 address, std::size_t bytes, int lane, const char* verb) {
  if (address + bytes > wave.group.shared.size() || address + bytes < address)
    refuse(wave, verb, bytes, lane, address, "LDS");
  return {wave.group.shared.data() + address, wave.group.written.data() + address};
}

Place in_private(Wave& wave, U64 address, std::size_t bytes, int lane, const char* verb) {
  if (address + bytes > wave.private_size || address + bytes < address)
    refuse(wave, verb, bytes, lane, address, "private memory");
  return {wave.private_memory.data() + wave.private_size * static_cast<std::size_t>(lane) + address, nullptr};
}

Place in_global(Wave& wave, U64 address, std::size_t bytes, int lane, bool write) {
  if (!wave.memory.may_access(address, bytes, write))
    refuse(wave, write ? "writes" : "reads", bytes, lane, address, "global memory");
  return {reinterpret_cast<std::byte*>(address), nullptr};
}

Place in_flat(Wave& wave, U64 address, std::size_t bytes, int lane, bool write) {
  const char* const verb = write ? "writes" : "reads";
  if (address >> 32 == shared_aperture) return in_shared(wave, address & 0xffffffffU, bytes, lane, verb);
  if (address >> 32 == private_aperture) return in_private(wave, address & 0xffffffffU, bytes, lane, verb);
  return in_global(wave, address, bytes, lane, write);
}

/// The addresses of all lanes: those of `vector` (two registers, or one with a scalar base) plus the offset.
struct Addresses {
  Addresses(Wave& wave, const Operation& operation, int vector, int scalar, Space space) {
    const Source& lanes = operation.source[static_cast<std::size_t>(vector)];
    const Source& base = operation.source[static_cast<std::size_t>(scalar)];
    const bool has_base = base.operand.kind != Operand::Kind::off && base.operand.kind != Operand::Kind::null;
    const bool has_lanes = lanes.operand.kind != Operand::Kind::off;
    bool known = true;
    U64 start = static_cast<U64>(operation.offset);
    if (has_base) {
      const U64 value = read_scalar(wave, base, known);
      start += space == Space::global ? value : U64{static_cast<U>(value)};
    }
    U64 lanes_known = ~U64{0};
    if (has_lanes && lanes.operand.count == 1) {
      Register scratch;
      const Lanes32 values = read32(wave, operation, vector, Type::u32, scratch);
      lanes_known = values.known;
      for (int i = 0; i < max_lanes; ++i) {
        lane[i] = start + values.lane[i];
      }
    } else if (has_lanes) {
      Register64 scratch;
      const Lanes64 values = read64(wave, operation, vector, Type::u64, scratch);
      lanes_known = values.known;
      for (int i = 0; i < max_lanes; ++i) {
        lane[i] = start + values.lane[i];
      }
    } else {
      std::fill_n(lane, max_lanes, start);
    }
    if (!known || (wave.exec() & ~lanes_known) != 0) throw ExecutionError("an address that was never written");
  }

  Place place(Wave& wave, int number, std::size_t bytes, Space space, bool write) const {
    const U64 address = lane[number];
    switch (space) {
      case Space::global:
        return in_global(wave, address, bytes, number, write);
      case Space::flat:
        return in_flat(wave, address, bytes, number, write);
      case Space::scratch:
      case Space::buffer:
        break;
    }
    return in_private(wave, address, bytes, number, write ? "writes" : "reads");
  }

  U64 lane[max_lanes];
};

struct Loaded {
  U word[4] = {};
  bool known = true;
};

Loaded load_at(const Place& place, int access) {
  const auto bytes = static_cast<std::size_t>(access & bytes_mask);
  Loaded loaded;
  std::memcpy(loaded.word, place.address, bytes);
  if (place.written != nullptr) {
    for (std::size_t i = 0; i < bytes; ++i)
      loaded.known = loaded.known && place.written[i] != 0;
  }
  if ((access & is_signed) != 0) {
    loaded.word[0] = static_cast<U>(bytes == 1 ? I{static_cast<std::int8_t>(loaded.word[0])}
                                               : I{static_cast<std::int16_t>(loaded.word[0])});
  }
  return loaded;
}

void write_words(Wave& wave, int first, const Loaded (&loaded)[max_lanes], int access) {
  const int words = ((access & bytes_mask) + 3) / 4;
  const U64 exec = wave.exec();
  for (int n = 0; n < words; ++n) {
    Register result;
    U64 known = 0;
    for (int i = 0; i < max_lanes; ++i) {
      U value = loaded[i].word[n];
      if ((access & (lower_half | upper_half)) != 0) {
        const U old = wave.vector.at(static_cast<std::size_t>(first)).lane[i];
        value = (access & upper_half) != 0 ? value << 16 | (old & 0xffffU) : (value & 0xffffU) | (old & 0xffff0000U);
      }
      result.lane[i] = value;
      if (loaded[i].known) known |= U64{1} << i;
    }
    write_register(wave, first + n, result, exec, known);
  }
}

/// The words that a store takes, from its data operand.
struct Stored {
  Stored(Wave& wave, const Operation& operation, int source, int words, int first_word = 0) {
    const Operand& data = operation.source[static_cast<std::size_t>(source)].operand;
    U64 known = ~U64{0};
    for (int n = 0; n < words; ++n) {
      const auto index = static_cast<std::size_t>(data.index + first_word + n);
      word[n] = &wave.vector.at(index);
      known &= wave.vector_known[index];
    }
    if ((wave.exec() & ~known) != 0) {
      throw ExecutionError("stores what was never written, in lane " +
                           std::to_string(std::countr_zero(wave.exec() & ~known)));
    }
  }
  const Register* word[4];
};

void store_at(const Place& place, const Stored& stored, int lane, int access) {
  const auto bytes = static_cast<std::size_t>(access & bytes_mask);
  U words[4];
  for (std::size_t n = 0; n < (bytes + 3) / 4; ++n) {
    words[n] = stored.word[n]->lane[lane];
  }
  if ((access & upper_half) != 0) words[0] >>= 16;
  std::memcpy(place.address, words, bytes);
  if (place.written != nullptr) std::memset(place.written, 1, bytes);
}

template <class Body>
void for_active(const Wave& wave, const Body& body) {
  const U64 exec = wave.exec();
  for (int i = 0; i < max_lanes; ++i) {
    if ((exec >> i & 1) != 0) body(i);
  }
}

template <Space S>
void load(Wave& wave, const Operation& operation) {
  const Addresses addresses(wave, operation, 0, 1, S);
  Loaded loaded[max_lanes];
  const auto bytes = static_cast<std::size_t>(operation.number & bytes_mask);
  for_active(wave, [&](int i) { loaded[i] = load_at(addresses.place(wave, i, bytes, S, false), operation.number); });
  write_words(wave, operation.destination.index, loaded, operation.number);
}

template <Space S>
void store(Wave& wave, const Operation& operation) {
  const Addresses addresses(wave, operation, 0, 2, S);
  const auto bytes = static_cast<std::size_t>(operation.number & bytes_mask);
  const Stored stored(wave, operation, 1, static_cast<int>((bytes + 3) / 4));
  for_active(wave, [&](int i) { store_at(addresses.place(wave, i, bytes, S, true), stored, i, operation.number); });
}

// Buffers are how gfx90a reaches private memory: data, offset of lanes (or off), descriptor, scalar offset.
void load_buffer(Wave& wave, const Operation& operation) {
  const Addresses addresses(wave, operation, 0, 2, Space::buffer);
  Loaded loaded[max_lanes];
  const auto bytes = static_cast<std::size_t>(operation.number & bytes_mask);
  for_active(wave, [&](int i) {
    loaded[i] = load_at(addresses.place(wave, i, bytes, Space::buffer, false), operation.number);
  });
  write_words(wave, operation.destination.index, loaded, operation.number);
}
void store_buffer(Wave& wave, const Operation& operation) {
  const Addresses addresses(wave, operation, 1, 3, Space::buffer);
  const auto bytes = static_cast<std::size_t>(operation.number & bytes_mask);
  const Stored stored(wave, operation, 0, static_cast<int>((bytes + 3) / 4));
  for_active(wave, [&](int i) {
    store_at(addresses.place(wave, i, bytes, Space::buffer, true), stored, i, operation.number);
  });
}

// --- LDS
// ---------------------------------------------------------------------------------------------------------------

struct SharedAddresses {
  SharedAddresses(Wave& wave, const Operation& operation) : values(read32(wave, operation, 0, Type::u32, scratch)) {
    if ((wave.exec() & ~values.known) != 0) throw ExecutionError("an address that was never written");
  }
  Register scratch;
  Lanes32 values;
};

void load_shared(Wave& wave, const Operation& operation) {
  const SharedAddresses addresses(wave, operation);
  Loaded loaded[max_lanes];
  const auto bytes = static_cast<std::size_t>(operation.number & bytes_mask);
  for_active(wave, [&](int i) {
    loaded[i] =
        load_at(in_shared(wave, addresses.values.lane[i] + static_cast<U64>(operation.offset), bytes, i, "reads"),
                operation.number);
  });
  write_words(wave, operation.destination.index, loaded, operation.number);
}

void store_shared(Wave& wave, const Operation& operation) {
  const SharedAddresses addresses(wave, operation);
  const auto bytes = static_cast<std::size_t>(operation.number & bytes_mask);
  const Stored stored(wave, operation, 1, static_cast<int>((bytes + 3) / 4));
  for_active(wave, [&](int i) {
    store_at(in_shared(wave, addresses.values.lane[i] + static_cast<U64>(operation.offset), bytes, i, "writes"), stored,
             i, operation.number);
  });
}

/// Two places, their offsets counted in elements.
template <int Stride>
void load_shared_two(Wave& wave, const Operation& operation) {
  const SharedAddresses addresses(wave, operation);
  const auto bytes = static_cast<std::size_t>(operation.number & bytes_mask);
  Loaded loaded[2][max_lanes];
  const I64 offsets[] = {operation.offset, operation.offset1};
  for (int n = 0; n < 2; ++n) {
    for_active(wave, [&](int i) {
      const U64 address = addresses.values.lane[i] + static_cast<U64>(offsets[n]) * bytes * Stride;
      loaded[n][i] = load_at(in_shared(wave, address, bytes, i, "reads"), operation.number);
    });
  }
  const int words = static_cast<int>(bytes / 4);
  write_words(wave, operation.destination.index, loaded[0], operation.number);
  write_words(wave, operation.destination.index + words, loaded[1], operation.number);
}

template <int Stride>
void store_shared_two(Wave& wave, const Operation& operation) {
  const SharedAddresses addresses(wave, operation);
  const auto bytes = static_cast<std::size_t>(operation.number & bytes_mask);
  const I64 offsets[] = {operation.offset, operation.offset1};
  for (int n = 0; n < 2; ++n) {
    const Stored stored(wave, operation, 1 + n, static_cast<int>(bytes / 4));
    for_active(wave, [&](int i) {
      const U64 address = addresses.values.lane[i] + static_cast<U64>(offsets[n]) * bytes * Stride;
      store_at(in_shared(wave, address, bytes, i, "writes"), stored, i, operation.number);
    });
  }
}

// --- atomic operations -----------------------------------------------------------------------------------------------

template <class T, class F>
Loaded update(const Place& place, const Stored& stored, int lane) {
  Loaded old;
  T before;
  T operand;
  std::memcpy(&before, place.address, sizeof before);
  U words[2] = {stored.word[0]->lane[lane], sizeof(T) == 8 ? stored.word[1]->lane[lane] : 0};
  std::memcpy(&operand, words, sizeof operand);
  std::memcpy(old.word, &before, sizeof before);
  const T after = F{}(before, operand);
  std::memcpy(place.address, &after, sizeof after);
  if (place.written != nullptr) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
      old.known = old.known && place.written[i] != 0;
    std::memset(place.written, 1, sizeof(T));
  }
  return old;
}

/// The destination, where there is one, is the first operand; then addresses, data, base.
template <Space S, class T, class F>
void atomic(Wave& wave, const Operation& operation) {
  const bool returns = operation.destination.kind == Operand::Kind::vector;
  const Addresses addresses(wave, operation, 0, 2, S);
  const Stored stored(wave, operation, 1, static_cast<int>(sizeof(T) / 4));
  Loaded old[max_lanes];
  for_active(wave, [&](int i) { old[i] = update<T, F>(addresses.place(wave, i, sizeof(T), S, true), stored, i); });
  if (returns) write_words(wave, operation.destination.index, old, static_cast<int>(sizeof(T)));
}

template <class T, class F>
void atomic_shared(Wave& wave, const Operation& operation) {
  const SharedAddresses addresses(wave, operation);
  const Stored stored(wave, operation, 1, static_cast<int>(sizeof(T) / 4));
  Loaded old[max_lanes];
  for_active(wave, [&](int i) {
    old[i] = update<T, F>(
        in_shared(wave, addresses.values.lane[i] + static_cast<U64>(operation.offset), sizeof(T), i, "updates"), stored,
        i);
  });
  if (operation.destination.kind == Operand::Kind::vector)
    write_words(wave, operation.destination.index, old, static_cast<int>(sizeof(T)));
}

/// Data: the new value, then the one that is compared.
template <Space S, class T>
void compare_and_swap(Wave& wave, const Operation& operation) {
  const Addresses addresses(wave, operation, 0, 2, S);
  constexpr int words = sizeof(T) / 4;
  const Stored stored(wave, operation, 1, 2 * words);
  Loaded old[max_lanes];
  for_active(wave, [&](int i) {
    const Place place = addresses.place(wave, i, sizeof(T), S, true);
    U all[4];
    for (int n = 0; n < 2 * words; ++n)
      all[n] = stored.word[n]->lane[i];
    std::memcpy(old[i].word, place.address, sizeof(T));
    if (std::memcmp(old[i].word, all + words, sizeof(T)) == 0) std::memcpy(place.address, all, sizeof(T));
  });
  if (operation.destination.kind == Operand::Kind::vector)
    write_words(wave, operation.destination.index, old, static_cast<int>(sizeof(T)));
}

// --- the table -------------------------------------------------------------------------------------------------------

struct Width {
  const char* old_name;  ///< GFX9's
  const char* name;      ///< RDNA3's and RDNA4's
  int access;
};

constexpr Width loads[] = {
    {"ubyte", "u8", 1},
    {"sbyte", "i8", 1 | is_signed},
    {"ushort", "u16", 2},
    {"sshort", "i16", 2 | is_signed},
    {"dword", "b32", 4},
    {"dwordx2", "b64", 8},
    {"dwordx3", "b96", 12},
    {"dwordx4", "b128", 16},
    {"short_d16", "d16_b16", 2 | lower_half},
    {"short_d16_hi", "d16_hi_b16", 2 | upper_half},
    {"ubyte_d16", "d16_u8", 1 | lower_half},
    {"ubyte_d16_hi", "d16_hi_u8", 1 | upper_half},
    {"sbyte_d16", "d16_i8", 1 | is_signed | lower_half},
    {"sbyte_d16_hi", "d16_hi_i8", 1 | is_signed | upper_half},
};
constexpr Width stores[] = {
    {"byte", "b8", 1},
    {"short", "b16", 2},
    {"dword", "b32", 4},
    {"dwordx2", "b64", 8},
    {"dwordx3", "b96", 12},
    {"dwordx4", "b128", 16},
    {"byte_d16_hi", "d16_hi_b8", 1 | upper_half},
    {"short_d16_hi", "d16_hi_b16", 2 | upper_half},
};

Entry entry_of(void (*run)(Wave&, const Operation&), const char* destinations, int sources, int access) {
  Entry entry;
  entry.run = run;
  entry.destinations = destinations;
  entry.sources.assign(static_cast<std::size_t>(sources), Type::other);
  entry.number = access;
  return entry;
}

template <Space S>
void add_space(Table& table, const std::string& space) {
  constexpr bool is_buffer = S == Space::buffer;
  constexpr int base = S == Space::flat ? 0 : 1;  // flat addresses have none
  for (const Width& width : loads) {
    const Entry entry = entry_of(is_buffer ? load_buffer : load<S>, "d", is_buffer ? 3 : 1 + base, width.access);
    table.add(space + "_load_" + width.old_name, entry);
    table.add(space + "_load_" + width.name, entry);
  }
  for (const Width& width : stores) {
    const Entry entry = entry_of(is_buffer ? store_buffer : store<S>, "", is_buffer ? 4 : 2 + base, width.access);
    table.add(space + "_store_" + width.old_name, entry);
    table.add(space + "_store_" + width.name, entry);
  }
}

template <Space S, class T, class F>
void add_atomic(Table& table, const std::string& space, std::initializer_list<const char*> names, F) {
  const Entry entry = entry_of(atomic<S, T, F>, "r", S == Space::flat ? 2 : 3, static_cast<int>(sizeof(T)));
  for (const char* const name : names)
    table.add(space + "_atomic_" + name, entry);
}

template <Space S>
void add_atomics(Table& table, const std::string& space) {
  add_atomic<S, U>(table, space, {"add", "add_u32"}, [](U a, U b) { return a + b; });
  add_atomic<S, U>(table, space, {"sub", "sub_u32"}, [](U a, U b) { return a - b; });
  add_atomic<S, U>(table, space, {"umax", "max_u32"}, [](U a, U b) { return std::max(a, b); });
  add_atomic<S, U>(table, space, {"umin", "min_u32"}, [](U a, U b) { return std::min(a, b); });
  add_atomic<S, I>(table, space, {"smax", "max_i32"}, [](I a, I b) { return std::max(a, b); });
  add_atomic<S, I>(table, space, {"smin", "min_i32"}, [](I a, I b) { return std::min(a, b); });
  add_atomic<S, U>(table, space, {"and", "and_b32"}, [](U a, U b) { return a & b; });
  add_atomic<S, U>(table, space, {"or", "or_b32"}, [](U a, U b) { return a | b; });
  add_atomic<S, U>(table, space, {"xor", "xor_b32"}, [](U a, U b) { return a ^ b; });
  add_atomic<S, U>(table, space, {"swap", "swap_b32"}, [](U, U b) { return b; });
  add_atomic<S, U>(table, space, {"inc", "inc_u32"}, [](U a, U b) { return a >= b ? 0 : a + 1; });
  add_atomic<S, U>(table, space, {"dec", "dec_u32"}, [](U a, U b) { return a == 0 || a > b ? b : a - 1; });
  add_atomic<S, U64>(table, space, {"add_x2", "add_u64"}, [](U64 a, U64 b) { return a + b; });
  add_atomic<S, U64>(table, space, {"umax_x2", "max_u64"}, [](U64 a, U64 b) { return std::max(a, b); });
  add_atomic<S, U64>(table, space, {"swap_x2", "swap_b64"}, [](U64, U64 b) { return b; });
  add_atomic<S, U64>(table, space, {"or_x2", "or_b64"}, [](U64 a, U64 b) { return a | b; });
  const Entry narrow = entry_of(compare_and_swap<S, U>, "r", S == Space::flat ? 2 : 3, 4);
  const Entry wide = entry_of(compare_and_swap<S, U64>, "r", S == Space::flat ? 2 : 3, 8);
  table.add(space + "_atomic_cmpswap", narrow);
  table.add(space + "_atomic_cmpswap_b32", narrow);
  table.add(space + "_atomic_cmpswap_x2", wide);
  table.add(space + "_atomic_cmpswap_b64", wide);
}

template <class T, class F>
void add_shared_atomic(Table& table, const std::string& name, F) {
  table.add("ds_" + name, entry_of(atomic_shared<T, F>, "", 2, static_cast<int>(sizeof(T))));
  const auto type = name.rfind('_');
  table.add("ds_" + name.substr(0, type) + "_rtn" + name.substr(type),
            entry_of(atomic_shared<T, F>, "d", 2, static_cast<int>(sizeof(T))));
}

void add_shared(Table& table) {
  for (const Width& width : loads) {
    const std::string name = width.name;
    const Entry entry = entry_of(load_shared, "d", 1, width.access);
    table.add("ds_read_" + name, entry);
    table.add("ds_load_" + name, entry);
    table.add("ds_read_" + name + "_d16", entry_of(load_shared, "d", 1, width.access | lower_half));
    table.add("ds_read_" + name + "_d16_hi", entry_of(load_shared, "d", 1, width.access | upper_half));
    table.add("ds_load_" + name + "_d16", entry_of(load_shared, "d", 1, width.access | lower_half));
    table.add("ds_load_" + name + "_d16_hi", entry_of(load_shared, "d", 1, width.access | upper_half));
  }
  for (const Width& width : stores) {
    const Entry entry = entry_of(store_shared, "", 2, width.access);
    table.add(std::string("ds_write_") + width.name, entry);
    table.add(std::string("ds_store_") + width.name, entry);
  }
  for (const char* const name : {"b8", "b16"}) {
    const int bytes = name[1] == '8' ? 1 : 2;
    table.add(std::string("ds_write_") + name + "_d16_hi", entry_of(store_shared, "", 2, bytes | upper_half));
    table.add(std::string("ds_store_") + name + "_d16_hi", entry_of(store_shared, "", 2, bytes | upper_half));
  }
  for (const int bytes : {4, 8}) {
    const std::string type = bytes == 4 ? "_b32" : "_b64";
    table.add("ds_read2" + type, entry_of(load_shared_two<1>, "d", 1, bytes));
    table.add("ds_load_2addr" + type, entry_of(load_shared_two<1>, "d", 1, bytes));
    table.add("ds_read2st64" + type, entry_of(load_shared_two<64>, "d", 1, bytes));
    table.add("ds_load_2addr_stride64" + type, entry_of(load_shared_two<64>, "d", 1, bytes));
    table.add("ds_write2" + type, entry_of(store_shared_two<1>, "", 3, bytes));
    table.add("ds_store_2addr" + type, entry_of(store_shared_two<1>, "", 3, bytes));
    table.add("ds_write2st64" + type, entry_of(store_shared_two<64>, "", 3, bytes));
    table.add("ds_store_2addr_stride64" + type, entry_of(store_shared_two<64>, "", 3, bytes));
  }
  add_shared_atomic<U>(table, "add_u32", [](U a, U b) { return a + b; });
  add_shared_atomic<U>(table, "max_u32", [](U a, U b) { return std::max(a, b); });
  add_shared_atomic<U>(table, "min_u32", [](U a, U b) { return std::min(a, b); });
  add_shared_atomic<I>(table, "max_i32", [](I a, I b) { return std::max(a, b); });
  add_shared_atomic<I>(table, "min_i32", [](I a, I b) { return std::min(a, b); });
  add_shared_atomic<U>(table, "or_b32", [](U a, U b) { return a | b; });
}

}  // namespace

void add_memory_operations(Table& table) {
  add_space<Space::global>(table, "global");
  add_space<Space::flat>(table, "flat");
  add_space<Space::scratch>(table, "scratch");
  add_space<Space::buffer>(table, "buffer");
  add_atomics<Space::global>(table, "global");
  add_atomics<Space::flat>(table, "flat");
  add_shared(table);
}

}  // namespace kqbench::amd
