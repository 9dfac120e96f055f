// SPDX-License-Identifier: Apache-2.0

// Runs the kernels' code for an AMD GPU, instruction by instruction, on the data of the emulated waves' tests, and
// holds what comes out against the reference. Exit status: 0 all came out right, 1 something did not, 2 bad usage, 3 it
// cannot run.

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "backends/gpu/device.hpp"
#include "bench/tensors/random.hpp"
#include "kq/dialect.hpp"
#include "kq/producers.hpp"
#include "tests/amd/implementation.hpp"
#include "tests/amd/runtime/runtime.hpp"
#include "tests/support/implementations.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/run.hpp"

namespace kqbench::test {

/// run.cpp asks for everything there is; here is one.
const std::vector<Candidate>& candidates() {
  static const std::vector<Candidate> none;
  return none;
}

namespace {

constexpr std::string_view usage =
    "usage: kqbench_amd_[kokkos_[all_]]<element> [--families <name>,...] [--counts <file>] [--perturb -1|0|1] "
    "[--backward] [--brief] [--trace]\n";

struct Arguments {
  std::vector<std::string> families;  ///< empty: all
  std::string counts;                 ///< file for the instructions of each request, and nothing else; empty: none
  amd::Options options;
  bool brief = false;  ///< fewer shapes, and one complaint ends it
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, ',');) {
    words.push_back(word);
  }
  return words;
}

std::optional<Arguments> parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--backward") {
      arguments.options.backward = true;
      arguments.options.poison = 0x40404040U;
    } else if (word == "--trace") {
      arguments.options.trace = true;
    } else if (word == "--brief") {
      arguments.brief = true;
    } else if (i + 1 < argc && word == "--families") {
      arguments.families = split(argv[++i]);
    } else if (i + 1 < argc && word == "--counts") {
      arguments.counts = argv[++i];
    } else if (i + 1 < argc && word == "--perturb") {
      const std::string by = argv[++i];
      if (by != "-1" && by != "0" && by != "1") return std::nullopt;
      arguments.options.perturbation = std::atoi(by.c_str());
    } else {
      return std::nullopt;
    }
  }
  return arguments;
}

/// Seconds of processors, of this process and of the disassemblers that it ran: machines are shared.
double processor_seconds() {
  double seconds = 0;
  for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    getrusage(who, &used);
    for (const timeval& time : {used.ru_utime, used.ru_stime}) {
      seconds += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    }
  }
  return seconds;
}

struct Totals {
  int cases = 0;
  int wrong = 0;
  double seconds = 0;  ///< of processors
  std::int64_t instructions = 0;
};

class Cases {
 public:
  explicit Cases(const Arguments& arguments) : arguments_(arguments), device_(gpu::open_device({})) {}

  void run_all() {
    every_scheme();
    every_dialect();
    rows_apart();
    long_rows();
    tensors_of_blocks_that_meet();
    block_formats();
    producers();
    producers_of_whole_vectors();
  }

  /// A line for each request on a tensor of 4 x 4096: target, element, kernel, what it does, instructions that its
  /// lanes execute for each element.
  void count(std::ostream& file) {
    file << "target,element,kernel,request,format,instructions per element\n";
    for (const kq::Scheme& scheme : kq::schemes()) {
      for (const kq::Request& request : requests_of(scheme, program_element(), 4, 4096)) {
        if (!wanted(request)) continue;
        count(file, request);
      }
    }
    for (const kq::Request& request : block_format_requests(program_element(), 4, 4096)) {
      if (wanted(request)) count(file, request);
    }
    for (const kq::ProducerFacts& facts : kq::producers()) {
      const kq::Producer producer = facts.producer;
      kq::Request request = dynamic(kq::Granularity::token, kq::Format::fp8_e4m3fn, 4, 4096);
      request.producer = producer;
      if (wanted(request)) count(file, kq::resolved(request));
    }
  }

  const std::map<std::string, Totals>& totals() const { return totals_; }

 private:
  static constexpr int most_complaints = 20;  ///< then the other cases are left out
  static constexpr int blocks_at_once = 3;
  static constexpr std::size_t shared_bytes = 20000;  // as the emulated waves have

  /// A producer is wanted with each quantizer that is.
  bool wanted(const kq::Request& request) const {
    const auto is_wanted = [&](const std::string& family) {
      return arguments_.families.empty() || std::ranges::count(arguments_.families, family) > 0;
    };
    return is_wanted(quantizing_family_of(request)) && is_wanted(family_of(request)) &&
           !common_->unsupported_reason(request);
  }

  /// One line of count().
  void count(std::ostream& file, const kq::Request& request) {
    const Ran ran = run(*common_, request, 1, Fill::normal, {});
    const int lanes = amd::target_of(amd::emulated_target()).wave64 ? 64 : 32;
    char per_element[32];
    std::snprintf(per_element, sizeof per_element, "%.2f", static_cast<double>(ran.instructions) * lanes / (4 * 4096));
    file << amd::emulated_target() << ',' << kq::to_string(program_element()) << ',' << family_prefix << ran.family
         << ',' << kq::operation_name(request) << ',' << kq::to_string(request.format) << ',' << per_element << '\n';
  }

  struct Ran {
    std::string family;
    std::int64_t instructions = 0;
  };

  Ran run(Implementation& implementation, const kq::Request& request, std::uint64_t seed, Fill fill,
          const Placement& placement) {
    Ran ran{family_of(request)};
    if (complaints_ >= (arguments_.brief ? 1 : most_complaints)) return ran;
    const Problem problem = problem_of(request, seed, fill);
    const Candidate candidate{amd::emulated_target(), device_.get(), &implementation};
    const double begin = processor_seconds();
    std::optional<std::string> complaint;
    try {
      complaint = test::run(candidate, problem, placement);
    } catch (const DeviceError& error) {
      complaint = describe(request) + ": " + error.what();
    }
    const double seconds = processor_seconds() - begin;
    if (&implementation == other_.get() && *other_family != '\0') ran.family = other_family;
    for (const auto& [name, counts] : amd::take_counts()) {
      if (request.producer != kq::Producer::none) {
        const bool is_fused = name.find("Fused") != std::string::npos;
        // What quantizes behind a producer is counted where it is tried.
        if (!is_fused && name.find("7Produce") == std::string::npos) continue;
        if (is_fused) ran.family = "fused";
      }
      ran.instructions += counts.instructions;
    }
    Totals& totals = totals_[ran.family];
    totals.seconds += seconds;
    totals.instructions += ran.instructions;
    ++totals.cases;
    if (!complaint) return ran;
    ++totals.wrong;
    ++complaints_;
    std::cout << "wrong: " << *complaint << '\n';
    return ran;
  }

  void both(const kq::Request& request, std::uint64_t seed, const Placement& placement) {
    constexpr Fill fills[] = {Fill::normal, Fill::specials, Fill::nans};
    both(request, seed, placement, fills[random_bits(seed, 0) % std::size(fills)]);  // of every kind for every format
  }
  void both(const kq::Request& request, std::uint64_t seed, const Placement& placement, Fill fill) {
    if (!wanted(request)) return;
    run(*common_, request, seed, fill, placement);
    if (other_ != nullptr && !other_->unsupported_reason(request)) run(*other_, request, seed, fill, placement);
  }
  static Placement shifted(std::uint64_t seed) { return {static_cast<int>(seed % 3), static_cast<int>(seed % 5), 0}; }

  void every_scheme() {
    std::uint64_t seed = 1;
    const std::vector<std::int64_t> sizes = arguments_.brief ? std::vector<std::int64_t>{17, 1025}
                                                             : std::vector<std::int64_t>{1, 7, 17, 64, 130, 1025, 5137};
    for (const kq::Scheme& scheme : kq::schemes()) {
      for (const std::int64_t hidden_size : sizes) {
        for (const kq::Request& request :
             requests_of(scheme, program_element(), hidden_size > 1000 ? 2 : 5, hidden_size)) {
          ++seed;
          both(request, seed, shifted(seed));
        }
      }
    }
  }

  void every_dialect() {
    std::uint64_t seed = 3000;
    const std::vector<std::int64_t> sizes =
        arguments_.brief ? std::vector<std::int64_t>{130} : std::vector<std::int64_t>{7, 64, 130, 1025};
    for (const std::int64_t hidden_size : sizes) {
      for (const kq::Request& request : dialect_requests(program_element(), 3, hidden_size)) {
        ++seed;
        both(request, seed, shifted(seed));
      }
    }
  }

  void rows_apart() {
    std::uint64_t seed = 1000;
    for (const kq::Scheme& scheme : kq::schemes()) {
      for (kq::Request request : requests_of(scheme, program_element(), 3, 256)) {
        both(request, ++seed, {});
        request.input_stride = 264;
        request.codes_stride = 272;
        both(request, ++seed, {});
      }
    }
  }

  kq::Request dynamic(kq::Granularity granularity, kq::Format format, std::int64_t num_tokens,
                      std::int64_t hidden_size) {
    kq::Request request;
    request.element = program_element();
    request.format = format;
    request.granularity = granularity;
    request.asymmetric = format == kq::Format::int8;
    request.num_tokens = num_tokens;
    request.hidden_size = hidden_size;
    request.qmax = kq::format_max(request.format);
    return request;
  }

  void long_rows() {
    std::uint64_t seed = 2000;
    for (const kq::Format format : {kq::Format::fp8_e4m3fn, kq::Format::fp8_e4m3fnuz, kq::Format::int8}) {
      for (const std::int64_t hidden_size : {2048, 4100, 8192, 8200, 16390, 28001, 33000, 70001}) {
        if (arguments_.brief && hidden_size % 2048 == 0) continue;
        both(dynamic(kq::Granularity::token, format, 1, hidden_size), ++seed, {});
      }
    }
  }

  void tensors_of_blocks_that_meet() {
    std::uint64_t seed = 3000;
    for (const kq::Format format : {kq::Format::fp8_e5m2, kq::Format::int8}) {
      for (const std::int64_t size : {500, 4096, 16000, 40001, 90000, 180000, 200003, 260000}) {
        if (arguments_.brief && size % 4096 == 0) continue;
        const kq::Request request = dynamic(kq::Granularity::tensor, format, 1, size);
        ++seed;
        Implementation& implementation = any_launch_is_together ? *common_ : *other_;
        if (wanted(request)) run(implementation, request, seed, Fill::normal, {static_cast<int>(seed % 4), 0, 0});
      }
    }
  }

  void block_formats() {
    std::uint64_t seed = 6000;
    // Held by all programs and partly read again, and two chunks of a lane.
    both(nvfp4_request(program_element(), 1, 99328), 5900, {}, Fill::normal);
    if (!arguments_.brief) both(nvfp4_request(program_element(), 1, 165888, 700.0f), 5901, {}, Fill::normal);
    const std::vector<std::int64_t> sizes =
        arguments_.brief ? std::vector<std::int64_t>{130, 512} : std::vector<std::int64_t>{1, 33, 96, 130, 512, 1060};
    constexpr Fill fills[] = {Fill::normal, Fill::specials, Fill::nans};
    for (const std::int64_t hidden_size : sizes) {
      for (kq::Request request : block_format_requests(program_element(), hidden_size == 512 ? 8 : 3, hidden_size)) {
        ++seed;
        if (hidden_size == 512 && seed % 5 == 0) request.input_stride = request.codes_stride = 544;
        both(request, seed, seed % 2 == 0 ? Placement{} : shifted(seed), fills[seed % 3]);
      }
    }
  }

  /// Each producer in each of its forms, before quantizers of several kinds.
  void producers() {
    std::uint64_t seed = 5000;
    const std::vector<std::int64_t> sizes =
        arguments_.brief ? std::vector<std::int64_t>{7, 2500} : std::vector<std::int64_t>{1, 7, 640, 1025, 2500, 17001};
    for (const kq::ProducerFacts& facts : kq::producers()) {
      const kq::Producer producer = facts.producer;
      for (const std::int64_t hidden_size : sizes) {
        for (kq::Request& request : quantizers_behind(producer, hidden_size)) {
          ++seed;
          both(request, seed, shifted(seed));
          request.input_stride += 5;
          if (kq::has_residual(producer)) request.residual_stride += 3;
          ++seed;
          both(request, seed, shifted(seed));
        }
      }
    }
  }

  /// Aligned, as engines have them, before the quantizers that kernels have in one launch with them: rows for each size
  /// of its blocks. Then in each form, before quantizers of several kinds.
  void producers_of_whole_vectors() {
    struct Shape {
      std::int64_t num_tokens, hidden_size;
    };
    const std::vector<Shape> shapes = arguments_.brief ? std::vector<Shape>{{2, 640}, {2, 2048}}
                                                       : std::vector<Shape>{{2, 8},    {3, 640},   {2, 2048}, {6, 4096},
                                                                            {2, 8192}, {1, 16384}, {1, 32768}};
    std::uint64_t seed = 7000;
    for (const kq::ProducerFacts& facts : kq::producers()) {
      const kq::Producer producer = facts.producer;
      for (const Shape& shape : shapes) {
        for (const kq::Request& request : common_quantizers(shape.num_tokens, shape.hidden_size)) {
          kq::Request behind = request;
          behind.producer = producer;
          if (kq::validate(behind)) continue;
          behind = kq::resolved(behind);
          if (++seed % 2 == 0) {
            behind.input_stride += 8;
            behind.codes_stride += 16;
            if (kq::has_residual(producer)) behind.residual_stride += 24;
          }
          both(behind, seed, {});
        }
        for (const kq::Request& behind : quantizers_behind(producer, shape.hidden_size)) {
          both(behind, ++seed, {});
        }
      }
    }
  }

  /// Symmetric int8 and fp8: a given scale, one for each token, bounded or not, and groups.
  std::vector<kq::Request> common_quantizers(std::int64_t num_tokens, std::int64_t hidden_size) {
    std::vector<kq::Request> requests;
    for (const kq::Format format : {kq::Format::int8, kq::Format::fp8_e4m3fn}) {
      kq::Request request = dynamic(kq::Granularity::token, format, num_tokens, hidden_size);
      request.asymmetric = false;
      requests.push_back(request);
      if (format == kq::Format::fp8_e4m3fn) {
        request.scale_ub = 0.01f;
        requests.push_back(request);
        request.scale_ub = kq::Request{}.scale_ub;
      }
      request.granularity = kq::Granularity::group;
      request.group_size = format == kq::Format::int8 ? 64 : 128;
      requests.push_back(request);
      request.scale_format = kq::ScaleFormat::ue8m0;
      request.scale_layout = kq::ScaleLayout::column_aligned;
      requests.push_back(request);
      request = dynamic(kq::Granularity::tensor, format, num_tokens, hidden_size);
      request.asymmetric = false;
      request.static_scale = true;
      requests.push_back(request);
    }
    return requests;
  }

  static std::vector<kq::Request> quantizers_behind(kq::Producer producer, std::int64_t hidden_size) {
    std::vector<kq::Request> requests;
    const auto add = [&](kq::Request request) {
      request.producer = producer;
      if (!kq::validate(request)) requests.push_back(kq::resolved(request));
    };
    for (const kq::Scheme& scheme : kq::schemes()) {
      add(request_of(scheme, program_element(), scheme.fp8 ? kq::Format::fp8_e4m3fn : kq::Format::int8, 2,
                     hidden_size));
    }
    std::set<kq::ProducerForm> forms{kq::ProducerForm::plain};
    for (kq::Request request : dialect_requests(program_element(), 2, hidden_size)) {
      request.producer = producer;
      if (!kq::validate(request) && forms.insert(kq::producer_form(request)).second) add(request);
    }
    return requests;
  }

  const Arguments& arguments_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Implementation> common_ = make_implementation();
  std::unique_ptr<Implementation> other_ = make_other_implementation(blocks_at_once, shared_bytes);
  std::map<std::string, Totals> totals_;
  int complaints_ = 0;
};

int run_kernels(const Arguments& arguments) {
  amd::Options options = arguments.options;
  options.together = any_launch_is_together;
  options.refuses_ieee_mode = true;  // of halves too, whose conversion makes NaN quiet: no kernel shall depend on that
  amd::set_options(options);
  Cases cases(arguments);
  if (arguments.counts.empty()) {
    cases.run_all();
  } else {
    std::ofstream file(arguments.counts);
    cases.count(file);
    if (!file.flush()) throw std::runtime_error("cannot write " + arguments.counts);
  }
  int wrong = 0;
  for (const auto& [family, totals] : cases.totals()) {
    std::printf("%s %s %s%s: %d cases, %d wrong, %lld instructions, %.1f s\n", amd::emulated_target().c_str(),
                std::string(kq::to_string(program_element())).c_str(), family_prefix, family.c_str(), totals.cases,
                totals.wrong, static_cast<long long>(totals.instructions), totals.seconds);
    wrong += totals.wrong;
  }
  if (amd::planted_faults() > 0) std::printf("faults planted: %d\n", amd::planted_faults());
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace kqbench::test

int main(int argc, char** argv) try {
  const auto arguments = kqbench::test::parse(argc, argv);
  if (!arguments) {
    std::cerr << kqbench::test::usage;
    return 2;
  }
  return kqbench::test::run_kernels(*arguments);
} catch (const std::exception& error) {
  std::cerr << argv[0] << ": error: " << error.what() << '\n';
  return 3;
}
