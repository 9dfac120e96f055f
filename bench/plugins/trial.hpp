// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The first launches of a plug-in's kernels, in a process of its own: whether they may be let into this one. What they
/// write is not looked at; that is checked here, like everybody's.

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/backend.hpp"
#include "backends/plugin/plugin.hpp"
#include "bench/measure/timer.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// Something to launch a kernel for.
struct TrialCase {
  kq::Request request;  ///< valid
  bool misaligned = false;
};

/// What a kernel is tried for, and with which numbers.
struct TrialCases {
  std::vector<TrialCase> cases;
  std::function<HostTensors(std::size_t index)> given;  ///< make_given() of a case
  std::optional<Launch> launch = std::nullopt;          ///< how launches will follow each other; nothing: never mind
};

class Trials {
 public:
  /// What went wrong with a kernel in a case, in one line; nothing if it came through.
  std::optional<std::string> failure(std::string_view kernel, std::size_t index) const;

  void add(const std::string& kernel, std::size_t index, const std::string& text) { failures_[kernel][index] = text; }

 private:
  std::map<std::string, std::map<std::size_t, std::string>, std::less<>> failures_;
};

/// Launches each kernel for each case that it serves. On a host its tensors lie between pages that nothing may touch.
/// On a device with graphs the launch is also recorded, and must have put something on the stream; and launches must
/// follow each other as they will: none starts before the end of the one in front where they are plain, and where they
/// overlap they must, and wait for what that one writes. A process that crashes is replaced by another one, which goes
/// on with the next case; after ten of a kernel, its other cases count as failed. `open` opens the device, in the other
/// process: it and this must not have been opened before. Where the device is not the kernel's, or cannot be opened,
/// nothing is tried. Ends early when a signal asks for it. Throws SystemError.
Trials try_out(const std::vector<PluginKernel>& kernels, const std::function<std::unique_ptr<Device>()>& open,
               const TrialCases& cases, bool asks_dialect);

}  // namespace kqbench
