// SPDX-License-Identifier: Apache-2.0
#include "bench/support/place.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <climits>
#include <cstdlib>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

/// The variables of a launcher.
struct Launcher {
  const char* name;
  const char* rank;
  const char* size;
  const char* local_rank;
};

/// Nearest to the process first. The script of a SLURM batch job is no step of it, and has no SLURM_STEP_NUM_TASKS.
constexpr std::array launchers = {
    Launcher{"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK"},
    Launcher{"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
    Launcher{"MPICH", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
    Launcher{"Flux", "FLUX_TASK_RANK", "FLUX_JOB_SIZE", "FLUX_TASK_LOCAL_ID"},
    Launcher{"SLURM", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"},
};

std::optional<int> number(const Environment& environment, const char* name) {
  const char* const value = environment(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  const std::string_view text = value;
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) {
    throw UsageError(fmt::format("{}: {} is no rank or size; unset it, or start kqbench by a launcher that sets it",
                                 name, in_quotes(std::string(text))));
  }
  return number;
}

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

/// Replaces %x for the letters that `text_of` knows, and %% by %.
template <class TextOf>
std::string replaced(std::string_view name, const TextOf& text_of) {
  std::string text;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const std::optional<std::string> value =
        name[i] == '%' && i + 1 < name.size() ? text_of(name[i + 1]) : std::optional<std::string>();
    text += value.value_or(std::string(1, name[i]));
    if (value) ++i;
  }
  return text;
}

}  // namespace

JobPlace read_place(const Environment& environment) {
  JobPlace place;
  place.host = host_name();
  const char* const node = environment("SLURMD_NODENAME");
  place.node = node != nullptr && *node != '\0' ? node : place.host;
  // SLURM and Flux set PMI's rank and size for MPICH, and the local rank by names of their own: who tells all three
  // first.
  for (const bool wants_local_rank : {true, false}) {
    for (const Launcher& launcher : launchers) {
      // Alone, a RANK may be anybody's.
      if (environment(launcher.rank) == nullptr || environment(launcher.size) == nullptr) continue;
      const std::optional<int> rank = number(environment, launcher.rank);
      const std::optional<int> size = number(environment, launcher.size);
      const std::optional<int> local_rank = number(environment, launcher.local_rank);
      if (!rank || !size || (wants_local_rank && !local_rank)) continue;
      if (*rank >= *size) {
        throw UsageError(fmt::format("{}={}: is no rank of {}={}; unset them, or start kqbench by {}", launcher.rank,
                                     *rank, launcher.size, *size, launcher.name));
      }
      place.launcher = launcher.name;
      place.rank = *rank;
      place.size = *size;
      place.local_rank = local_rank;
      place.local_rank_name = launcher.local_rank;
      return place;
    }
  }
  return place;
}

JobPlace read_place() {
  return read_place([](const char* name) -> const char* { return std::getenv(name); });
}

std::string with_place(std::string_view name, const JobPlace& place) {
  return replaced(name, [&](char letter) -> std::optional<std::string> {
    if (letter == 'r') return fmt::to_string(place.rank);
    if (letter == 'h') return place.host;
    if (letter == '%') return "%";
    return std::nullopt;
  });
}

bool names_each_rank(std::string_view name) {
  bool found = false;
  replaced(name, [&](char letter) -> std::optional<std::string> {
    found = found || letter == 'r';
    return letter == '%' ? std::optional<std::string>("%") : std::nullopt;
  });
  return found;
}

}  // namespace kqbench
