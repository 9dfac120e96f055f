// SPDX-License-Identifier: Apache-2.0
#include "tests/support/lanes.hpp"

namespace kqbench::test {
namespace {

constexpr std::size_t stack_bytes = std::size_t{128} * 1024;

/// ThreadSanitizer knows only jumps that stay on a stack.
#if defined(__SANITIZE_THREAD__)
constexpr bool jumps = false;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr bool jumps = false;
#else
constexpr bool jumps = true;
#endif
#else
constexpr bool jumps = true;
#endif

}  // namespace

void Lanes::run(int count, LaneOrder order, const std::function<void(int)>& body) {
  body_ = &body;
  failure_ = nullptr;
  while (static_cast<int>(lanes_.size()) < count) {
    begin(lanes_.emplace_back());
  }
  try {
    run_all(count, order);
  } catch (...) {
    lanes_.clear();  // where they stand
    throw;
  }
}

void Lanes::run_all(int count, LaneOrder order) {
  for (int i = 0; i < count; ++i) {
    lanes_[static_cast<std::size_t>(i)].ended = false;
  }
  int running = count;
  while (running > 0) {
    const std::uint64_t before = progress_;
    for (int turn = 0; turn < count; ++turn) {
      current_ = order == LaneOrder::forward ? turn : count - 1 - turn;
      Lane& lane = lanes_[static_cast<std::size_t>(current_)];
      if (lane.ended) continue;
      go(scheduler_, lane.point);
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
  go(lanes_[static_cast<std::size_t>(current_)].point, scheduler_);
}

/// Leaves `from` for `to`, and returns when another leaves for `from`. swapcontext asks the kernel for the mask of
/// signals each time, which takes longer than most of what lanes do in between.
void Lanes::go(Point& from, Point& to) {
  if constexpr (!jumps) {
    swapcontext(&from.context, &to.context);
  } else if (_setjmp(from.left_at) == 0) {
    from.was_left = true;
    if (to.was_left) _longjmp(to.left_at, 1);
    setcontext(&to.context);
  }
}

void Lanes::begin(Lane& lane) {
  lane.stack = std::make_unique_for_overwrite<std::byte[]>(stack_bytes);
  ucontext_t& context = lane.point.context;
  getcontext(&context);
  context.uc_stack.ss_sp = lane.stack.get();
  context.uc_stack.ss_size = stack_bytes;
  // A context's function takes nothing but ints.
  const auto address = reinterpret_cast<std::uintptr_t>(this);
  makecontext(&context, reinterpret_cast<void (*)()>(&Lanes::enter), 2, static_cast<unsigned>(address >> 32),
              static_cast<unsigned>(address));
}

void Lanes::enter(unsigned high, unsigned low) {
  auto* const lanes = reinterpret_cast<Lanes*>(static_cast<std::uintptr_t>(high) << 32 | low);
  const int number = lanes->current_;
  Lane& lane = lanes->lanes_[static_cast<std::size_t>(number)];
  for (;;) {
    try {
      (*lanes->body_)(number);
    } catch (...) {
      lanes->failure_ = std::current_exception();
    }
    lane.ended = true;
    go(lane.point, lanes->scheduler_);
  }
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
