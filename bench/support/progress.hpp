// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// One line on stderr that says how far a sweep is, on a terminal only. (Drawn here, not by a library: Debian packages
/// no C++ progress-bar library, and one line that is written over is not worth fetching one.)

#include <cstddef>
#include <string>

namespace kqbench {

class Progress {
 public:
  /// Silent if not `wanted`, if there is but one step, or if stderr is no terminal that can
  /// write a line over.
  Progress(std::size_t steps, bool wanted);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void step(const std::string& what);  ///< begins the next step
  void clear();                        ///< takes the line away, so that something else can be written

 private:
  std::size_t steps_;
  std::size_t done_ = 0;
  bool active_;
};

}  // namespace kqbench
