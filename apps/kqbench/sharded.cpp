// SPDX-License-Identifier: Apache-2.0

/// \file
/// `kqbench sharded`: a tensor that is spread over the ranks of a job, quantized by scales of the whole.

#include "bench/fleet/sharded.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "apps/kqbench/devices.hpp"
#include "apps/kqbench/subcommands.hpp"
#include "bench/fleet/job.hpp"
#include "bench/measure/context.hpp"
#include "bench/requests/numbers.hpp"
#include "bench/results/grid.hpp"
#include "bench/results/request_json.hpp"
#include "bench/results/row_text.hpp"
#include "bench/results/text_output.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/support/notice.hpp"
#include "bench/support/place.hpp"
#include "bench/support/terminal.hpp"
#include "bench/tensors/input_source.hpp"

namespace kqbench {
namespace {

struct ShardedArguments {
  RequestArguments sweep;
  DeviceArguments device;
  std::optional<std::string> num_samples, rendezvous, json;
  bool no_color = false;
  std::string command_line;
};

/// Between the ranks of a host, by MPI; of one rank, with nobody.
class HostExchange final : public Exchange {
 public:
  explicit HostExchange(Job* job) : job_(job) {}
  std::string description() const override { return job_ != nullptr ? mpi_version() : "none, of one rank"; }
  void enqueue_max(float* values, std::size_t count) override {
    if (job_ != nullptr) job_->max(values, count);
  }

 private:
  Job* job_;
};

/// Hands the id from rank 0 to the others: by MPI, or else by a file that all of them see.
class Rendezvous {
 public:
  Rendezvous(Job* job, const JobPlace& place, std::optional<std::string> file)
      : job_(job), place_(place), file_(std::move(file)) {
    if (job_ != nullptr || place_.size == 1) return;
    if (!file_) {
      throw UsageError(
          fmt::format("--rendezvous: {} ranks were started without MPI; name a file that all of them see "
                      "and that is not there yet",
                      place_.size));
    }
    if (place_.rank == 0 && std::filesystem::exists(*file_)) {
      throw UsageError(fmt::format("--rendezvous: {} is there already; remove it", in_quotes(*file_)));
    }
  }

  /// `make` is called on rank 0.
  template <class Make>
  std::string id(const Make& make) {
    std::string id = place_.rank == 0 ? make() : std::string();
    if (place_.size == 1) return id;
    if (job_ != nullptr) {
      std::size_t size = id.size();
      job_->broadcast(&size, sizeof(size));
      id.resize(size);
      job_->broadcast(id.data(), size);
      return id;
    }
    if (place_.rank == 0) {
      TextOutput(*file_).write(id);
      return id;
    }
    return read();
  }

  /// Once all ranks have met.
  void remove() {
    if (file_ && place_.rank == 0 && place_.size > 1 && job_ == nullptr) std::filesystem::remove(*file_);
  }

 private:
  /// The file appears whole, and within ten minutes.
  std::string read() const {
    const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(10);
    while (std::chrono::steady_clock::now() < until) {
      std::ifstream file(*file_, std::ios::binary);
      if (file) return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    throw SystemError(fmt::format("--rendezvous: rank 0 has not written {} in ten minutes", in_quotes(*file_)));
  }

  Job* job_;
  JobPlace place_;
  std::optional<std::string> file_;
};

std::unique_ptr<Exchange> join(Device& device, Job* job, const JobPlace& place,
                               const std::optional<std::string>& file) {
  if (device.info().host_memory) {
    if (job == nullptr && place.size > 1) {
      throw UsageError(
          "sharded: ranks of a host exchange by MPI; build kqbench with -DKQBENCH_MPI=ON, start it by mpirun");
    }
    return std::make_unique<HostExchange>(job);
  }
  Rendezvous rendezvous(job, place, file);
  auto exchange =
      device.join_exchange(rendezvous.id([&] { return device.make_exchange_id(); }), place.rank, place.size);
  rendezvous.remove();
  return exchange;
}

/// The requests, each of which every rank has columns of. Throws UsageError.
std::vector<kq::Request> requests_of(const ShardedArguments& arguments, const JobPlace& place) {
  Sweep sweep = arguments.sweep.sweep();
  set_usual(sweep, Use::sharded);
  const SweepPlan plan = plan_sweep(sweep);
  for (const std::string& line : plan.left_out) {
    if (place.rank == 0) notice(line);
  }
  for (const kq::Request& request : plan.requests) {
    if (const auto invalid = kq::why_not_sharded(request)) {
      throw UsageError(fmt::format("{}: {}", describe(request), invalid->reason));
    }
    if (request.num_tokens == 0) throw UsageError("--num-tokens: of 0 tokens there is nothing to time");
    if (request.hidden_size < place.size) {
      throw UsageError(
          fmt::format("--hidden-size: {} columns are too few for {} ranks", request.hidden_size, place.size));
    }
  }
  return plan.requests;
}

struct ShardedRow {
  kq::Request request;
  ShardedResult result;
};

void print(const std::vector<ShardedRow>& rows, const JobPlace& place, bool color) {
  Grid grid({{"shape"},
             {"local µs", Align::right},
             {"halves", Align::right},
             {"sharded", Align::right},
             {"exchange", Align::right},
             {"±", Align::right},
             {"vs local", Align::right},
             {"verified"}});
  std::string section;
  for (const ShardedRow& row : rows) {
    const std::string title = fmt::format("{}, columns over {} rank{} ({} cache)", work_text(row.request), place.size,
                                          place.size == 1 ? "" : "s", to_string(row.result.cache));
    if (title != section) grid.begin_section(section = title);
    const ShardedTimes times = row.result.slowest();
    const bool right = row.result.all_verified();
    grid.add({shape_text(row.request), microseconds_text(times.local), microseconds_text(times.halves),
              microseconds_text(times.sharded), microseconds_text(times.exchange), microseconds_text(times.half_width),
              number_text(times.sharded / times.local, 3),
              right ? Cell("ok", Paint::good) : Cell("FAILED", Paint::bad)});
  }
  grid.write_text(std::cout, color);
  std::cout.flush();
}

std::string to_json(const std::vector<ShardedRow>& rows, const Context& context, const JobPlace& place,
                    const std::string& exchange) {
  nlohmann::ordered_json json = {{"schema", "kqbench-sharded/1"}, {"version", context.version},
                                 {"commit", context.commit},      {"command_line", context.command_line},
                                 {"host", context.host},          {"device", context.device},
                                 {"exchange", exchange},          {"ranks", place.size}};
  for (const ShardedRow& row : rows) {
    nlohmann::ordered_json of_row = {{"impl", "kokkos"}};
    add_request(of_row, row.request);
    of_row["verified"] = row.result.all_verified();
    of_row["samples"] = row.result.samples;
    of_row["launches_per_sample"] = row.result.launches_per_sample;
    of_row["copies"] = row.result.copies;
    of_row["cache"] = std::string(to_string(row.result.cache));
    for (std::size_t rank = 0; rank < row.result.ranks.size(); ++rank) {
      const ShardedTimes& times = row.result.ranks[rank];
      of_row["by_rank"].push_back({{"rank", rank},
                                   {"verified", bool{row.result.verified[rank]}},
                                   {"local_us", times.local},
                                   {"halves_us", times.halves},
                                   {"sharded_us", times.sharded},
                                   {"exchange_us", times.exchange},
                                   {"exchange_half_width_us", times.half_width}});
    }
    json["rows"].push_back(std::move(of_row));
  }
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

/// What one rank does. Throws on the rank where something fails.
int run_rank(const ShardedArguments& arguments, const std::vector<kq::Request>& requests, int samples,
             const DeviceOpener& open, const JobPlace& place, Job* job) {
  std::optional<TextOutput> json;
  if (arguments.json && place.rank == 0) json.emplace(with_place(*arguments.json, place));
  const std::unique_ptr<Device> device = open_by(open, arguments.device, place);
  Implementation& implementation = *choose_implementations(*device, {"kokkos"}, {}).front();
  const std::unique_ptr<Exchange> exchange = join(*device, job, place, arguments.rendezvous);
  const InputSource input(arguments.sweep.seed(), std::nullopt);
  std::vector<ShardedRow> rows;
  bool right = true;
  for (const kq::Request& request : requests) {
    const Problem whole = make_problem(request, input.make(request), {});
    ShardedResult result =
        measure_sharded(*device, implementation, *exchange, {place.rank, place.size}, whole, samples, steady_clock());
    if (result.mismatch) {
      notice(fmt::format("rank {}: {}: {}", place.rank, describe(request), result.mismatch->message()));
    }
    right = right && result.all_verified();
    rows.push_back({request, std::move(result)});
  }
  if (place.rank == 0) {
    if (json) {
      json->write(to_json(rows, read_context(*device, arguments.command_line, place), place, exchange->description()));
    }
    if (!json || !json->is_stdout()) print(rows, place, use_color(arguments.no_color));
  }
  return right ? exit_done : exit_wrong;
}

int run(const ShardedArguments& arguments, const DeviceOpener& open) {
  JobPlace place = read_place();
  const std::unique_ptr<Job> job = join_job(place);
  if (job) {
    place.rank = job->rank();
    place.size = job->size();
  }
  const int samples =
      static_cast<int>(arguments.num_samples ? parse_integer("--num-samples", *arguments.num_samples, 6, 100000) : 51);
  const std::vector<kq::Request> requests = requests_of(arguments, place);
  try {
    const int status = run_rank(arguments, requests, samples, open, place, job.get());
    if (job) {
      job->gather({});
      job->end();
    }
    return status;
  } catch (...) {
    if (job) job->abandon();
    throw;
  }
}

}  // namespace

void add_sharded(CLI::App& program, const std::string& command_line, const DeviceOpener& open, Action& chosen) {
  CLI::App* command =
      program.add_subcommand("sharded", "Time the quantization of a tensor whose columns are spread over ranks");
  auto arguments = std::make_shared<ShardedArguments>();
  arguments->command_line = command_line;
  arguments->sweep.add_to(*command, Use::sharded);
  arguments->device.add_to(*command, Use::sharded, "");
  command
      ->add_option("--num-samples", arguments->num_samples,
                   "Samples of each kind of time; give all ranks the same [51]")
      ->type_name("N")
      ->group("Measurement");
  command
      ->add_option(
          "--rendezvous", arguments->rendezvous,
          "Without MPI: the file by which ranks find each other; all of them see it, and it does not exist yet")
      ->type_name("FILE")
      ->group("Ranks of a job (docs/clusters.md)");
  command->add_option("--json", arguments->json, "Write the results as JSON; - is standard output")
      ->type_name("FILE")
      ->group("Output");
  command->add_flag("--no-color", arguments->no_color, "Print without colours")->group("Output");
  command->footer(
      how_to_write_a_list +
      std::string("The table has the slowest rank's times. `local`: one kernel, with scales of the rank's own "
                  "columns. `halves`: the same\nin two steps. `sharded`: with scales of the whole tensor. "
                  "`exchange`: what that adds to the two steps.\n\n") +
      program.get_footer());
  command->callback([arguments, open, &chosen] { chosen = [arguments, open] { return run(*arguments, open); }; });
}

}  // namespace kqbench
