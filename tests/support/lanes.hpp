// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The lanes of a device's blocks as fibres of one host thread: each runs until it waits for others, then the next one
/// has its turn. So a kernel's lanes go as far apart from each other as its barriers and exchanges let them, in an
/// order that is the same each time; run forward and backward, a barrier that is missing shows as a wrong result.

#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <ostream>
#include <stdexcept>

namespace kqbench::test {

enum class LaneOrder : std::uint8_t { forward, backward };
inline void PrintTo(LaneOrder order, std::ostream* out) {
  *out << (order == LaneOrder::forward ? "forward" : "backward");
}

/// Lanes wait for something that none of them will ever do: one left an exchange or a barrier out.
class LanesStuck : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

class Lanes {
 public:
  Lanes() = default;
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  /// Runs body(0) to body(count - 1), all of them at once. An exception that leaves a lane comes out here, the other
  /// lanes are dropped where they stand. Throws LanesStuck.
  void run(int count, LaneOrder order, const std::function<void(int)>& body);

  // Inside a lane:

  /// Lets the others run.
  void yield();
  /// Tells that something happened which another lane may have waited for.
  void note_progress() { ++progress_; }

 private:
  /// Where a stack goes on: at first where its context begins, then where it was left.
  struct Point {
    ucontext_t context{};
    jmp_buf left_at;
    bool was_left = false;
  };
  struct Lane {
    Point point;
    std::unique_ptr<std::byte[]> stack;
    bool ended = false;
  };

  static void go(Point& from, Point& to);
  static void enter(unsigned high, unsigned low);
  void begin(Lane& lane);
  void run_all(int count, LaneOrder order);

  std::deque<Lane> lanes_;  ///< used again: one that has ended waits for the next body
  Point scheduler_;
  int current_ = 0;
  std::uint64_t progress_ = 0;
  const std::function<void(int)>* body_ = nullptr;
  std::exception_ptr failure_;
};

/// Where `count` lanes wait for each other, again and again.
class LaneBarrier {
 public:
  explicit LaneBarrier(int count) : count_(count) {}
  void wait(Lanes& lanes);

 private:
  int count_;
  int arrived_ = 0;
  std::uint64_t passed_ = 0;
};

}  // namespace kqbench::test
