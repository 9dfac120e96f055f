// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The options --json, --csv and --markdown, of `run` and of `compare`.

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "bench/results/text_output.hpp"
#include "bench/support/place.hpp"

namespace CLI {
class App;
}

namespace kqbench {

/// As the user wrote them: file names, or "-" for standard output.
struct OutputArguments {
  std::optional<std::string> json, csv, markdown;

  void add_to(CLI::App& command);  ///< in the group "Output"

  /// With %r and %h replaced (with_place).
  OutputArguments at(const JobPlace& place) const;

  /// True if each rank of a job writes its own: every name has a %r, and there is one.
  bool names_ranks() const;

  /// The first of them that each rank of a job would write, and the next one replace: its name has no %r, and is not
  /// that of standard output or of a device file. Nothing if there is none.
  std::optional<std::string> shared_name() const;
};

/// The places asked for, opened at once, so that what cannot be written is refused before anything is measured.
class ResultOutputs {
 public:
  /// Throws as TextOutput does, and UsageError if two formats want the same place.
  explicit ResultOutputs(const OutputArguments& arguments, std::span<const std::string> inputs = {});

  /// True if one of them goes to standard output: then nothing else should.
  bool use_stdout() const;
  static bool use_stdout(const OutputArguments& arguments);

  /// Writes those that were asked for, calling only their functions. Throws SystemError.
  using Text = std::function<std::string()>;
  void write(const Text& json, const Text& csv, const Text& markdown);

 private:
  std::optional<TextOutput> json_, csv_, markdown_;
};

}  // namespace kqbench
