// SPDX-License-Identifier: Apache-2.0
#include "tests/amd/interpreter/launch.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

namespace kqbench::amd {
namespace {

/// Instructions that a wave may execute before another has its turn: waves that wait for others do not hold them up.
constexpr int turn = 20'000;
/// A wave that executes so many does not end.
constexpr std::int64_t too_many = 1'000'000;

constexpr int first_ttmp = 108;

struct Dispatch {
  std::uint16_t header, setup, group_x, group_y, group_z, reserved0;
  std::uint32_t grid_x, grid_y, grid_z, private_bytes, group_bytes;
  std::uint64_t kernel, arguments, reserved1, signal;
};

struct Resident {
  Group group;
  std::vector<Wave> waves;
  std::array<std::uint32_t, 3> index;
};

class Runner {
 public:
  Runner(Program& program, const Kernel& kernel, const Grid& grid, const std::vector<std::byte>& arguments,
         Memory& memory, const Options& options)
      : program_(program), kernel_(kernel), grid_(grid), arguments_(arguments), memory_(memory), options_(options) {
    for (int i = 0; i < 3; ++i) {
      threads_ *= static_cast<int>(grid.threads[static_cast<std::size_t>(i)]);
    }
    dispatch_.group_x = static_cast<std::uint16_t>(grid.threads[0]);
    dispatch_.group_y = static_cast<std::uint16_t>(grid.threads[1]);
    dispatch_.group_z = static_cast<std::uint16_t>(grid.threads[2]);
    dispatch_.grid_x = grid.groups[0] * grid.threads[0];
    dispatch_.grid_y = grid.groups[1] * grid.threads[1];
    dispatch_.grid_z = grid.groups[2] * grid.threads[2];
    dispatch_.private_bytes = kernel.private_bytes;
    dispatch_.group_bytes = kernel.shared_bytes + static_cast<std::uint32_t>(grid.shared_bytes);
    dispatch_.arguments = reinterpret_cast<std::uintptr_t>(arguments.data());
    memory_.add(arguments.data(), arguments.size(), false, "the kernel's arguments");
    memory_.add(&dispatch_, sizeof dispatch_, false, "the dispatch packet");
  }
  ~Runner() {
    memory_.remove(arguments_.data());
    memory_.remove(&dispatch_);
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  Counts run() {
    std::vector<std::array<std::uint32_t, 3>> groups;
    for (std::uint32_t z = 0; z < grid_.groups[2]; ++z) {
      for (std::uint32_t y = 0; y < grid_.groups[1]; ++y) {
        for (std::uint32_t x = 0; x < grid_.groups[0]; ++x)
          groups.push_back({x, y, z});
      }
    }
    if (options_.backward) std::reverse(groups.begin(), groups.end());
    const std::size_t at_once = grid_.together || options_.together ? groups.size() : 1;
    std::vector<std::unique_ptr<Resident>> residents;
    for (std::size_t i = 0; i < std::min(at_once, groups.size()); ++i) {
      residents.push_back(make_resident());
    }
    for (std::size_t first = 0; first < groups.size(); first += at_once) {
      for (std::size_t i = 0; i < residents.size(); ++i) {
        start(*residents[i], groups[first + i]);
      }
      finish(residents);
    }
    counts_.launches = 1;
    return counts_;
  }

 private:
  std::unique_ptr<Resident> make_resident() {
    const std::size_t shared = kernel_.shared_bytes + grid_.shared_bytes;
    auto resident = std::make_unique<Resident>(Resident{Group(shared), {}, {}});
    const Target& target = program_.target();
    const int lanes = target.wave64 ? 64 : 32;
    const int registers = static_cast<int>(kernel_.accumulators > 0 ? first_accumulation_register + kernel_.accumulators
                                                                    : kernel_.registers);
    for (int begin = 0; begin < threads_; begin += lanes) {
      resident->waves.emplace_back(target, options_, memory_, resident->group, std::max(registers, 1),
                                   kernel_.private_bytes);
    }
    return resident;
  }

  void start(Resident& resident, const std::array<std::uint32_t, 3>& index) {
    resident.index = index;
    std::fill(resident.group.written.begin(), resident.group.written.end(), std::uint8_t{0});
    // What LDS has at first is left over from others.
    std::fill(resident.group.shared.begin(), resident.group.shared.end(), static_cast<std::byte>(options_.poison));
    const int lanes = program_.target().wave64 ? 64 : 32;
    for (std::size_t i = 0; i < resident.waves.size(); ++i) {
      start(resident.waves[i], index, static_cast<int>(i) * lanes);
    }
  }

  void start(Wave& wave, const std::array<std::uint32_t, 3>& index, int first_thread) {
    wave.state = State::ready;
    wave.barriers = 0;
    wave.executed = 0;
    wave.scc_known = false;
    wave.ieee_mode = true;
    wave.scalar_known.fill(0);
    std::fill(wave.vector_known.begin(), wave.vector_known.end(), std::uint64_t{0});
    for (Register& one : wave.vector) {
      std::fill(std::begin(one.lane), std::end(one.lane), options_.poison);
    }
    wave.scalar.fill(options_.poison);
    wave.image = reinterpret_cast<std::uintptr_t>(program_.object().at(0));
    wave.next = kernel_.entry + ((kernel_.preload & 0x7f) != 0 ? 256 : 0);
    const int lanes = std::min(wave.lanes(), threads_ - first_thread);
    wave.set_pair(exec_register, lanes == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << lanes) - 1, true);
    set_scalars(wave, index);
    set_thread_indices(wave, first_thread);
    ++counts_.waves;
  }

  void set_scalars(Wave& wave, const std::array<std::uint32_t, 3>& index) {
    std::size_t next = 0;
    const auto put = [&](std::uint32_t value) {
      wave.scalar.at(next) = value;
      wave.scalar_known.at(next++) = ~std::uint32_t{0};
    };
    const auto put_address = [&](const void* address) {
      const auto value = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(address));
      put(static_cast<std::uint32_t>(value));
      put(static_cast<std::uint32_t>(value >> 32));
    };
    const auto wanted = [&](int bit) { return (kernel_.properties >> bit & 1) != 0; };
    if (wanted(0)) {
      for (int i = 0; i < 4; ++i)
        put(0);  // buffers are private memory here, whatever their descriptor
    }
    if (wanted(1)) put_address(&dispatch_);
    if (wanted(2)) put_address(nullptr);
    if (wanted(3)) put_address(arguments_.data());
    if (wanted(4)) put_address(nullptr);
    if (wanted(5)) put_address(nullptr);
    if (wanted(6)) put(kernel_.private_bytes);
    for (int i = 0; i < (kernel_.preload & 0x7f); ++i) {
      std::uint32_t word = 0;
      std::memcpy(&word, arguments_.data() + 4 * ((kernel_.preload >> 7) + i), sizeof word);
      put(word);
    }
    if (program_.target().is_gfx12) {
      const auto put_ttmp = [&](int number, std::uint32_t value) {
        wave.scalar[static_cast<std::size_t>(first_ttmp + number)] = value;
        wave.scalar_known[static_cast<std::size_t>(first_ttmp + number)] = ~std::uint32_t{0};
      };
      put_ttmp(9, index[0]);
      put_ttmp(7, index[1] | index[2] << 16);
      return;
    }
    next = kernel_.resources2 >> 1 & 0x1f;  // of user registers; there may be more than are used
    for (std::size_t i = 0; i < 3; ++i) {
      if ((kernel_.resources2 >> (7 + i) & 1) != 0) put(index[i]);
    }
    if ((kernel_.resources2 >> 10 & 1) != 0) put(0);
    if ((kernel_.resources2 & 1) != 0) put(0);
  }

  void set_thread_indices(Wave& wave, int first_thread) {
    const int size_x = static_cast<int>(grid_.threads[0]);
    const int size_y = static_cast<int>(grid_.threads[1]);
    for (int i = 0; i < wave.lanes(); ++i) {
      const int thread = first_thread + i;
      const int x = thread % size_x;
      const int y = thread / size_x % size_y;
      const int z = thread / (size_x * size_y);
      wave.vector[0].lane[i] = static_cast<std::uint32_t>(x | y << 10 | z << 20);
    }
    wave.vector_known[0] = ~std::uint64_t{0};
  }

  void finish(std::vector<std::unique_ptr<Resident>>& residents) {
    bool running = true;
    while (running) {
      running = false;
      for (auto& resident : residents) {
        if (take_turns(*resident)) running = true;
      }
    }
  }

  /// A turn for each wave of a group. Returns whether any is left.
  bool take_turns(Resident& resident) {
    const std::size_t count = resident.waves.size();
    bool any_ready = false;
    for (std::size_t i = 0; i < count; ++i) {
      Wave& wave = resident.waves[options_.backward ? count - 1 - i : i];
      if (wave.state == State::ready) step(resident, wave);
      any_ready = any_ready || wave.state == State::ready;
    }
    if (any_ready) return true;
    return pass_barrier(resident);
  }

  /// Where no wave is ready: all at a barrier go on, if all have come. Returns whether any is left.
  bool pass_barrier(Resident& resident) {
    std::int64_t most = 0;
    for (const Wave& wave : resident.waves) {
      most = std::max(most, wave.barriers);
    }
    bool left = false;
    for (Wave& wave : resident.waves) {
      if (wave.barriers != most) throw ExecutionError(where(resident, wave) + ": a barrier that not all waves come to");
      if (wave.state != State::at_barrier) continue;
      wave.state = State::ready;
      left = true;
    }
    return left;
  }

  std::string where(const Resident& resident, const Wave& wave) const {
    std::string text = kernel_.name + ", group ";
    for (std::size_t i = 0; i < 3; ++i) {
      text += (i == 0 ? "" : ",") + std::to_string(resident.index[i]);
    }
    return text + ", wave " + std::to_string(&wave - resident.waves.data());
  }

  void step(const Resident& resident, Wave& wave) {
    const std::int64_t before = wave.executed;
    const Operation* operation = nullptr;
    try {
      for (int i = 0; i < turn && wave.state == State::ready; ++i) {
        operation = nullptr;
        operation = &program_.at(wave.next);
        wave.pc = wave.next;
        wave.next = operation->instruction->next;
        if (operation->pair_with_next)
          execute_pair(wave, *operation);
        else
          execute(wave, *operation);
        if (options_.trace) trace(wave, *operation);
      }
      if (wave.executed > too_many) throw ExecutionError("it does not end");
    } catch (const ExecutionError& error) {
      char address[32];
      std::snprintf(address, sizeof address, "%llx", static_cast<unsigned long long>(wave.pc));
      throw ExecutionError(where(resident, wave) + ", at " + address +
                           (operation ? " " + operation->instruction->text : "") + ": " + error.what());
    }
    counts_.instructions += wave.executed - before;
  }

  void trace(const Wave& wave, const Operation& operation) const {
    const Operand& to = operation.destination;
    if (to.kind != Operand::Kind::vector) return;
    const std::uint64_t unknown = wave.exec() & ~wave.vector_known.at(static_cast<std::size_t>(to.index));
    if (unknown == 0) return;
    std::fprintf(stderr, "%llx %s: unknown in lanes %llx\n", static_cast<unsigned long long>(wave.pc),
                 operation.instruction->text.c_str(), static_cast<unsigned long long>(unknown));
  }

  /// Two operations that read before either writes.
  void execute_pair(Wave& wave, const Operation& first) {
    const Operation& second = *(&first + 1);
    const auto place = static_cast<std::size_t>(first.destination.index);
    const Register before = wave.vector.at(place);
    const std::uint64_t known_before = wave.vector_known[place];
    execute(wave, first);
    const Register after = wave.vector[place];
    const std::uint64_t known_after = wave.vector_known[place];
    wave.vector[place] = before;
    wave.vector_known[place] = known_before;
    perform(wave, second);
    wave.vector[place] = after;
    wave.vector_known[place] = known_after;
  }

  Program& program_;
  const Kernel& kernel_;
  const Grid& grid_;
  const std::vector<std::byte>& arguments_;
  Memory& memory_;
  const Options& options_;
  Dispatch dispatch_{};
  int threads_ = 1;
  Counts counts_;
};

void put_number(std::vector<std::byte>& segment, const KernelArgument& argument, std::uint64_t value) {
  std::memcpy(segment.data() + argument.offset, &value, std::min<std::size_t>(argument.size, sizeof value));
}

}  // namespace

Program::Program(std::unique_ptr<CodeObject> object, std::string_view disassembly, const Fault& fault)
    : object_(std::move(object)), target_(target_of(object_->target())), instructions_(parse_disassembly(disassembly)) {
  if (!fault.from.empty()) plant(fault);
  std::set<std::string> unknown;
  std::uint64_t end = 0;
  for (const Instruction& instruction : instructions_) {
    if (!is_known(instruction)) unknown.insert(instruction.mnemonic);
    end = std::max(end, instruction.next);
  }
  if (!unknown.empty()) {
    std::string names;
    for (const std::string& name : unknown) {
      names += (names.empty() ? "" : ", ") + name;
    }
    throw std::runtime_error("instructions that the interpreter does not know: " + names);
  }
  operations_.resize(instructions_.size());
  number_.assign(end / 4 + 1, -1);
  for (std::size_t i = instructions_.size(); i-- > 0;) {  // of two at one address the first counts
    number_[instructions_[i].address / 4] = static_cast<std::int32_t>(i);
  }
}

void Program::plant(const Fault& fault) {
  for (Instruction& instruction : instructions_) {
    const auto place = instruction.text.find(fault.from);
    if (place == std::string::npos) continue;
    std::string text = instruction.text;
    text.replace(place, fault.from.size(), fault.to);
    Instruction changed = parse_instruction(text).at(0);
    changed.address = instruction.address;
    changed.next = instruction.next;
    if (instruction.mnemonic.find("branch") != std::string::npos &&
        changed.mnemonic.find("branch") != std::string::npos) {
      changed.operands.push_back(instruction.operands.back());
    }
    instruction = std::move(changed);
    ++faults_;
  }
}

const Operation& Program::at(std::uint64_t address) {
  const std::int32_t number = address / 4 < number_.size() ? number_[address / 4] : -1;
  if (number < 0) throw ExecutionError("there is no instruction");
  const auto i = static_cast<std::size_t>(number);
  if (operations_[i].run == nullptr) {
    operations_[i] = decode(instructions_[i], target_);
    if (i + 1 < instructions_.size() && instructions_[i + 1].address == address) {
      operations_[i].pair_with_next = true;
      operations_[i + 1] = decode(instructions_[i + 1], target_);
    }
  }
  return operations_[i];
}

std::vector<std::byte> argument_segment(const Kernel& kernel, const Grid& grid, void* const* arguments) {
  std::vector<std::byte> segment(kernel.argument_bytes + 64);
  std::size_t next = 0;
  for (const KernelArgument& argument : kernel.arguments) {
    const auto is = [&](const char* kind) { return argument.kind == kind; };
    const auto axis = static_cast<std::size_t>(argument.kind.back() - 'x');
    if (is("by_value") || is("global_buffer")) {
      std::memcpy(segment.data() + argument.offset, arguments[next++], argument.size);
    } else if (argument.kind.starts_with("hidden_block_count_")) {
      put_number(segment, argument, grid.groups.at(axis));
    } else if (argument.kind.starts_with("hidden_group_size_")) {
      put_number(segment, argument, grid.threads.at(axis));
    } else if (is("hidden_grid_dims")) {
      put_number(segment, argument,
                 grid.groups[1] * grid.threads[1] == 1 && grid.groups[2] * grid.threads[2] == 1 ? 1 : 3);
    } else if (is("hidden_dynamic_lds_size")) {
      put_number(segment, argument, grid.shared_bytes);
    } else if (argument.kind.starts_with("hidden_")) {
      put_number(segment, argument, 0);
    } else {
      throw std::runtime_error("kernel " + kernel.name + ": an argument of unknown kind " + argument.kind);
    }
  }
  return segment;
}

Counts run(Program& program, const Kernel& kernel, const Grid& grid, const std::vector<std::byte>& arguments,
           Memory& memory, const Options& options) {
  return Runner(program, kernel, grid, arguments, memory, options).run();
}

}  // namespace kqbench::amd
