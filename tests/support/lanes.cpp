// SPDX-License-Identifier: Apache-2.0
#include "tests/support/lanes.hpp"

namespace kqbench::test {
namespace {

constexpr std::size_t stack_bytes = std::size_t{128} * 1024;

}  // namespace

void Lanes::run(int count, LaneOrder order, const std::function<void(int)>& body) {
  if (static_cast<int>(lanes_.size()) < count) lanes_.resize(static_cast<std::size_t>(count));
  body_ = &body;
  failure_ = nullptr;
  for (int i = 0; i < count; ++i) {
    start(lanes_[static_cast<std::size_t>(i)]);
  }
  int running = count;
  while (running > 0) {
    const std::uint64_t before = progress_;
    for (int turn = 0; turn < count; ++turn) {
      current_ = order == LaneOrder::forward ? turn : count - 1 - turn;
      Lane& lane = lanes_[static_cast<std::size_t>(current_)];
      if (lane.ended) continue;
      swapcontext(&scheduler_, &lane.context);
      if (failure_) std::rethrow_exception(failure_);
      if (lane.ended) {
        --running;
        ++progress_;
      }
    }
    if (progress_ == before) throw LanesStuck("lanes wait for others that have ended, or wait elsewhere");
  }
}

void Lanes::yield() {
  swapcontext(&lanes_[static_cast<std::size_t>(current_)].context, &scheduler_);
}

void Lanes::start(Lane& lane) {
  if (lane.stack == nullptr) lane.stack = std::make_unique_for_overwrite<std::byte[]>(stack_bytes);
  lane.ended = false;
  getcontext(&lane.context);
  lane.context.uc_stack.ss_sp = lane.stack.get();
  lane.context.uc_stack.ss_size = stack_bytes;
  lane.context.uc_link = &scheduler_;
  // A context's function takes nothing but ints.
  const auto address = reinterpret_cast<std::uintptr_t>(this);
  makecontext(&lane.context, reinterpret_cast<void (*)()>(&Lanes::enter), 2, static_cast<unsigned>(address >> 32),
              static_cast<unsigned>(address));
}

void Lanes::enter(unsigned high, unsigned low) {
  auto* const lanes = reinterpret_cast<Lanes*>(static_cast<std::uintptr_t>(high) << 32 | low);
  const int lane = lanes->current_;
  try {
    (*lanes->body_)(lane);
  } catch (...) {
    lanes->failure_ = std::current_exception();
  }
  lanes->lanes_[static_cast<std::size_t>(lane)].ended = true;
}

void LaneBarrier::wait(Lanes& lanes) {
  const std::uint64_t passed = passed_;
  if (++arrived_ == count_) {
    arrived_ = 0;
    ++passed_;
    lanes.note_progress();
    return;
  }
  while (passed_ == passed) {
    lanes.yield();
  }
}

}  // namespace kqbench::test
