// SPDX-License-Identifier: Apache-2.0

// The native GPU kernels, run on a host in emulated waves of 32 and 64 lanes, against the reference: how lanes divide
// ragged spans, exchange extremes within and between waves, and meet across blocks. What only a device has (its own
// conversions, memory order, launches) is tested with the backends on a device.

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <tuple>

#include "backends/gpu/reduce.hpp"
#include "tests/backends/gpu/emulated_launcher.hpp"
#include "tests/backends/gpu/emulated_native.hpp"
#include "tests/support/implementations.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/run.hpp"

namespace kqbench::test {
namespace {

class EmulatedWaves : public ::testing::TestWithParam<std::tuple<Waves, LaneOrder>> {
 protected:
  static constexpr int blocks_at_once = 3;
  /// Two vectors for each of 512 lanes, and what blocks share besides.
  static constexpr std::size_t shared_bytes = 20000;
  const kq::Element element = emulated_element(std::get<0>(GetParam()));

  std::unique_ptr<Implementation> make_native(int reducing_blocks = 0) const {
    return make_emulated_native(std::get<0>(GetParam()), std::get<1>(GetParam()), reducing_blocks, shared_bytes);
  }

  void expect_right(Implementation& implementation, const Problem& problem, const Placement& placement = {}) {
    const Candidate candidate{"emulated native", device_.get(), &implementation};
    if (const auto complaint = run(candidate, problem, placement)) ADD_FAILURE() << *complaint;
  }

 private:
  std::unique_ptr<Device> device_ = find_backend("host")->open({});
};

/// Rows of whole vectors: their number and their size.
constexpr std::pair<std::int64_t, std::int64_t> whole_rows[] = {{2, 8},    {1, 1024},  {9, 640},   {2, 1536},
                                                                {3, 1536}, {2, 4096},  {3, 4096},  {2, 8192},
                                                                {3, 8192}, {3, 16384}, {1, 20480}, {1, 40960}};

/// A request of each scheme and dialect behind each producer, as far as there are kernels for both in one.
std::vector<kq::Request> requests_behind_producers(kq::Element element, std::int64_t num_tokens,
                                                   std::int64_t hidden_size) {
  std::vector<kq::Request> quantizers;
  for (const kq::Scheme& scheme : kq::schemes()) {
    if (hidden_size > 8192 && scheme.asymmetric) continue;
    for (const kq::Request& request : requests_of(scheme, element, num_tokens, hidden_size)) {
      quantizers.push_back(request);
    }
  }
  for (const kq::Request& request : dialect_requests(element, num_tokens, hidden_size)) {
    quantizers.push_back(request);
  }
  std::vector<kq::Request> requests;
  for (const kq::Producer producer : {kq::Producer::rms_norm, kq::Producer::add_rms_norm, kq::Producer::silu_mul}) {
    for (kq::Request request : quantizers) {
      request.producer = producer;
      const bool fused = request.format == kq::Format::int8 || request.format == kq::Format::fp8_e4m3fn;
      if (!fused || kq::validate(request)) continue;
      request = kq::resolved(request);
      if (requests.size() % 2 == 0) {
        request.input_stride += 8;
        request.codes_stride += 16;
        if (kq::has_residual(producer)) request.residual_stride += 24;
      }
      requests.push_back(request);
    }
  }
  return requests;
}

TEST_P(EmulatedWaves, EverySchemeOnRaggedShapes) {
  const auto native = make_native();
  const auto grid_reduce = make_native(blocks_at_once);
  std::uint64_t seed = 1;
  for (const kq::Scheme& scheme : kq::schemes()) {
    for (const std::int64_t hidden_size : {1, 7, 17, 64, 130, 1025, 5137}) {
      const std::int64_t num_tokens = hidden_size > 1000 ? 2 : 5;
      for (const kq::Request& request : requests_of(scheme, element, num_tokens, hidden_size)) {
        ++seed;
        constexpr Fill fills[] = {Fill::normal, Fill::specials, Fill::nans};
        const Problem problem = problem_of(request, seed, fills[seed % 3]);
        const Placement placement{static_cast<int>(seed % 3), static_cast<int>(seed % 5), 0};
        expect_right(*native, problem, placement);
        if (request.granularity == kq::Granularity::tensor) expect_right(*grid_reduce, problem, placement);
      }
    }
  }
}

TEST_P(EmulatedWaves, EveryDialectOnRaggedShapes) {
  const auto native = make_native();
  const auto grid_reduce = make_native(blocks_at_once);
  std::uint64_t seed = 3000;
  for (const std::int64_t hidden_size : {7, 64, 130, 1025}) {
    for (const kq::Request& request : dialect_requests(element, 3, hidden_size)) {
      ++seed;
      const Problem problem = problem_of(request, seed, seed % 2 == 0 ? Fill::normal : Fill::specials);
      const Placement placement{static_cast<int>(seed % 3), static_cast<int>(seed % 5), 0};
      expect_right(*native, problem, placement);
      if (request.granularity == kq::Granularity::tensor) expect_right(*grid_reduce, problem, placement);
    }
  }
}

/// A NaN counts in some dialects' amax: whether there is one goes from a launch to the next, and between blocks.
TEST_P(EmulatedWaves, DialectsOfTensorsWithNan) {
  const auto native = make_native();
  const auto grid_reduce = make_native(blocks_at_once);
  std::uint64_t seed = 4000;
  for (kq::Request request : dialect_requests(element, 3, 1025)) {
    if (request.granularity != kq::Granularity::tensor || request.static_scale) continue;
    request.input_stride = 1028;
    expect_right(*native, problem_of(request, ++seed, Fill::nans));
    request.input_stride = request.codes_stride = request.hidden_size = 1024;
    expect_right(*grid_reduce, problem_of(request, ++seed, Fill::nans));
  }
}

TEST_P(EmulatedWaves, BlockFormatsOnAnyShape) {
  const auto native = make_native();
  const auto grid_reduce = make_native(blocks_at_once);
  std::uint64_t seed = 6000;
  for (const std::int64_t hidden_size : {1, 33, 96, 130, 512, 1060}) {
    for (kq::Request request : block_format_requests(element, hidden_size == 512 ? 8 : 3, hidden_size)) {
      ++seed;
      constexpr Fill fills[] = {Fill::normal, Fill::specials, Fill::nans};
      const bool aligned = seed % 2 == 0;
      const Placement placement{aligned ? 0 : static_cast<int>(seed % 3), aligned ? 0 : static_cast<int>(seed % 5), 0};
      if (hidden_size == 512 && seed % 5 == 0) request.input_stride = request.codes_stride = 544;
      const Problem problem = problem_of(request, seed, fills[seed % 3]);
      expect_right(*native, problem, placement);
      if (kq::has_global_scale(request)) expect_right(*grid_reduce, problem, placement);
    }
  }
}

TEST_P(EmulatedWaves, ProducersOnRaggedShapes) {
  const auto native = make_native();
  std::uint64_t seed = 5000;
  for (const kq::ProducerFacts& facts : kq::producers()) {
    for (const std::int64_t hidden_size : {7, 640, 2500}) {
      kq::Request request;
      request.element = element;
      request.format = kq::Format::fp8_e4m3fn;
      request.granularity = kq::Granularity::token;
      request.producer = facts.producer;
      request.num_tokens = 2;
      request.hidden_size = hidden_size;
      request = kq::resolved(request);
      expect_right(*native, problem_of(request, ++seed), {static_cast<int>(seed % 3), 0, 0});
    }
  }
}

/// Producers and quantizers in one launch: rows for each size of blocks, some further apart, of every scheme and
/// dialect.
TEST_P(EmulatedWaves, ProducersOfWholeVectors) {
  const auto native = make_native();
  std::uint64_t seed = 7000;
  for (const auto& [num_tokens, hidden_size] : whole_rows) {
    for (const kq::Request& request : requests_behind_producers(element, num_tokens, hidden_size)) {
      ++seed;
      if (seed % (hidden_size > 1000 ? 16 : 4) != 0) continue;  // lanes of their own take their time
      if (native->unsupported_reason(request)) continue;
      constexpr Fill fills[] = {Fill::normal, Fill::specials, Fill::nans};
      expect_right(*native, problem_of(request, seed, fills[seed % 3]));
    }
  }
}

/// A sum with a residual may take its place, also where a row is read again, or lanes to spare are near it.
TEST_P(EmulatedWaves, SumsInTheResidualsPlace) {
  const auto native = make_native();
  for (const auto& [num_tokens, hidden_size] : {std::pair{9, 640}, std::pair{3, 4096}, std::pair{2, 40960}}) {
    for (const bool is_given : {false, true}) {
      kq::Request request;
      request.element = element;
      request.format = kq::Format::fp8_e4m3fn;
      request.granularity = kq::Granularity::token;
      request.static_scale = is_given;
      request.producer = kq::Producer::add_rms_norm;
      request.num_tokens = num_tokens;
      request.hidden_size = hidden_size;
      const Problem problem = problem_of(request, 3, Fill::normal);
      HostTensors tensors = problem.given;
      tensors.codes.resize(kq::codes_bytes(problem.request));
      tensors.scales.resize(kq::scales_bytes(problem.request));
      Operands operands = kq::addresses(tensors);
      operands.residual_out = tensors.residual.data();
      std::vector<std::byte> workspace(native->workspace_bytes(problem.request));
      operands.workspace = workspace.data();
      native->enqueue(problem.request, operands);
      EXPECT_EQ(tensors.residual, problem.expected.residual_out) << describe(problem.request);
      EXPECT_EQ(tensors.codes, problem.expected.codes) << describe(problem.request);
    }
  }
}

/// Where there is one kernel, nothing comes between the producer and the codes.
TEST(FusedRows, AreOneLaunch) {
  for (const auto& [num_tokens, hidden_size] : whole_rows) {
    for (kq::Request request : requests_behind_producers(kq::Element::half, num_tokens, hidden_size)) {
      const bool over_rows = !request.static_scale && request.granularity != kq::Granularity::token &&
                             request.granularity != kq::Granularity::group;
      if (over_rows || request.granularity == kq::Granularity::channel) continue;
      if (kq::has_groups(request.granularity) && request.group_size % 32 != 0) continue;
      if (kq::has_groups(request.granularity) && hidden_size % request.group_size != 0) continue;
      EXPECT_EQ(launches_of(request, true), 1) << describe(request);
      EXPECT_GE(launches_of(request, false), 2) << describe(request);
    }
  }
}

/// Also groups that take all lanes of a wave with four vectors each.
TEST(FusedRows, OfLongGroupsAreOneLaunch) {
  for (const auto& [num_tokens, hidden_size] : whole_rows) {
    if (hidden_size % 1024 != 0 || hidden_size > 8192) continue;
    for (const kq::ProducerFacts& facts : kq::producers()) {
      kq::Request request;
      request.format = kq::Format::fp8_e4m3fn;
      request.granularity = kq::Granularity::group;
      request.group_size = 1024;
      request.producer = facts.producer;
      request.num_tokens = num_tokens;
      request.hidden_size = hidden_size;
      request = kq::resolved(request);
      EXPECT_EQ(launches_of(request, true), 1) << describe(request);
    }
  }
}

TEST_P(EmulatedWaves, AlignedGroupsAndRowsApart) {
  const auto native = make_native();
  std::uint64_t seed = 1000;
  for (const kq::Scheme& scheme : kq::schemes()) {
    for (kq::Request request : requests_of(scheme, element, 3, 256)) {
      expect_right(*native, problem_of(request, ++seed));
      request.input_stride = 264;
      request.codes_stride = 272;
      expect_right(*native, problem_of(request, ++seed));
    }
  }
}

/// Rows that more and more lanes share, up to those that no registers hold.
TEST_P(EmulatedWaves, LongRows) {
  const auto native = make_native();
  std::uint64_t seed = 2000;
  for (const bool asymmetric : {false, true}) {
    for (const std::int64_t hidden_size : {2048, 4100, 8192, 8200, 16390, 28001, 33000, 70001}) {
      for (const std::int64_t num_tokens : {1, 3}) {
        kq::Request request;
        request.element = element;
        request.format = asymmetric ? kq::Format::int8 : kq::Format::fp8_e4m3fn;
        request.granularity = kq::Granularity::token;
        request.asymmetric = asymmetric;
        request.num_tokens = num_tokens;
        request.hidden_size = hidden_size;
        request.qmax = kq::format_max(request.format);
        expect_right(*native, problem_of(request, ++seed));
      }
    }
  }
}

/// Tensors in the registers of one block and of all, in their shared memory, and too large for both. Every
/// launch has as many blocks, which share the slots of one workspace.
TEST_P(EmulatedWaves, TensorsOfBlocksThatMeet) {
  const auto native = make_native(blocks_at_once);
  std::uint64_t seed = 3000;
  for (const bool asymmetric : {false, true}) {
    for (const std::int64_t size : {500, 4096, 16000, 40001, 90000, 180000, 200003, 260000}) {
      kq::Request request;
      request.element = element;
      request.format = asymmetric ? kq::Format::int8 : kq::Format::fp8_e5m2;
      request.granularity = kq::Granularity::tensor;
      request.asymmetric = asymmetric;
      request.num_tokens = 1;
      request.hidden_size = size;
      request.qmax = kq::format_max(request.format);
      expect_right(*native, problem_of(request, ++seed), {static_cast<int>(seed % 4), 0, 0});
    }
  }
}

/// NVFP4's own tensor scale, by blocks that hold a part of the tensor in registers, then in shared memory, and read the
/// rest again: of whole chunks and not, of one piece and of rows apart.
TEST_P(EmulatedWaves, Nvfp4OfBlocksThatMeet) {
  constexpr std::size_t chunks_of_1024_threads = 2 * 1024 * 32 + 256;
  const auto native =
      make_emulated_native(std::get<0>(GetParam()), std::get<1>(GetParam()), blocks_at_once, chunks_of_1024_threads);
  const std::int64_t chunk = element == kq::Element::float32 ? 8 : 16;
  std::uint64_t seed = 4000;
  for (const std::int64_t chunks : {16384, 16390}) {
    for (const bool apart : {false, true}) {
      kq::Request request = nvfp4_request(element, 2, chunk * chunks / 2);
      if (apart) request.input_stride += 16;
      const Fill fill = seed % 2 == 0 ? Fill::normal : Fill::specials;
      expect_right(*native, problem_of(request, ++seed, fill));
    }
  }
}

/// FP4 of so many chunks that a thread has two: more than 10240, of an even number of blocks.
TEST_P(EmulatedWaves, Fp4OfManyChunks) {
  const auto native = make_native();
  const std::int64_t chunk = element == kq::Element::float32 ? 8 : 16;
  std::uint64_t seed = 4100;
  for (const std::int64_t chunks : {10240, 10496, 10752}) {  // one each, an odd number of blocks, two each
    const std::int64_t hidden_size = chunk * chunks / 2;
    expect_right(*native, problem_of(mxfp4_request(element, 2, hidden_size), ++seed, Fill::normal));
    expect_right(*native, problem_of(nvfp4_request(element, 2, hidden_size, 700.0f), ++seed, Fill::nans));
  }
}

std::string name_of(const ::testing::TestParamInfo<EmulatedWaves::ParamType>& info) {
  const char* const waves[] = {"Of32WithMax", "Of64"};
  return std::string(waves[static_cast<int>(std::get<0>(info.param))]) +
         (std::get<1>(info.param) == LaneOrder::forward ? "Forward" : "Backward");
}

INSTANTIATE_TEST_SUITE_P(All, EmulatedWaves,
                         ::testing::Combine(::testing::ValuesIn(emulated_waves()),
                                            ::testing::Values(LaneOrder::forward, LaneOrder::backward)),
                         name_of);

// --- waves of 32 lanes without a greatest key in one instruction
// -------------------------------------------------------

/// The greatest of each of two keys over the lanes that share a span.
template <int Threads, int Lanes>
struct Maxima {
  struct Config {
    static constexpr int threads = Threads;
  };
  const std::uint32_t (*key)[2];
  std::uint32_t (*found)[2];

  template <class Block>
  void operator()(const Block& block) const {
    block.wait_for_prerequisites();
    std::uint32_t mine[2] = {key[block.thread()][0], key[block.thread()][1]};
    gpu::max_over_lanes<Threads, Lanes>(block, block.template shared<gpu::WaveSlots<2>>(), mine);
    std::ranges::copy(mine, found[block.thread()]);
  }
};

template <int Threads, int Lanes_>
void expect_maxima() {
  std::mt19937 random(Threads + Lanes_);
  std::uint32_t key[Threads][2];
  for (auto& keys : key)
    std::ranges::generate(keys, random);
  Lanes lanes;
  EmulatedLauncher<EmulatedBlock<32, false>> launcher;
  launcher.lanes = &lanes;
  for (const LaneOrder order : {LaneOrder::forward, LaneOrder::backward}) {
    launcher.order = order;
    std::uint32_t found[Threads][2] = {};
    launcher.launch(Maxima<Threads, Lanes_>{key, found}, 1);
    for (int thread = 0; thread < Threads; ++thread) {
      const int first = thread / Lanes_ * Lanes_;
      for (const int k : {0, 1}) {
        std::uint32_t expected = 0;
        for (int lane = 0; lane < Lanes_; ++lane)
          expected = std::max(expected, key[first + lane][k]);
        ASSERT_EQ(found[thread][k], expected)
            << "key " << k << " of thread " << thread << " of " << Threads << ", spans of " << Lanes_;
      }
    }
  }
}

TEST(WavesOf32, FindTheMaximaOfSpansInAWave) {
  expect_maxima<128, 1>();
  expect_maxima<128, 2>();
  expect_maxima<128, 8>();
  expect_maxima<128, 32>();
}

TEST(WavesOf32, FindTheMaximaOfABlock) {
  expect_maxima<64, 64>();
  expect_maxima<256, 256>();
  expect_maxima<1024, 1024>();
}

// --- the emulation itself: it finds what it is there to find ---------------------------------------------------------

using Block = EmulatedBlock<64, false>;

struct OneWave {
  struct Config {
    static constexpr int threads = 64;
  };
};

TEST(EmulatedBlock, ExchangesWithinAWave) {
  struct Kernel : OneWave {
    std::uint32_t* found;
    void operator()(const Block& block) const {
      block.wait_for_prerequisites();
      const auto mine = static_cast<std::uint32_t>(block.thread());
      found[block.thread()] = block.exchange(mine, 32) * 100 + block.exchange(mine, 1);
    }
  };
  Lanes lanes;
  EmulatedLauncher<Block> launcher;
  launcher.lanes = &lanes;
  std::uint32_t found[64] = {};
  launcher.launch(Kernel{{}, found}, 1);
  EXPECT_EQ(found[0], 3201u);
  EXPECT_EQ(found[40], 841u);
  EXPECT_EQ(found[63], 3162u);
}

TEST(EmulatedBlock, FindsAThreadThatDoesNotWaitForTheLaunchBefore) {
  struct Kernel : OneWave {
    void operator()(const Block& block) const {
      if (block.thread() != 5) block.wait_for_prerequisites();
    }
  };
  Lanes lanes;
  EmulatedLauncher<Block> launcher;
  launcher.lanes = &lanes;
  EXPECT_NONFATAL_FAILURE(launcher.launch(Kernel{}, 1), "does not wait for the launch before");
}

TEST(EmulatedBlock, FindsALaneThatIsMissingAtAnExchange) {
  struct Kernel : OneWave {
    void operator()(const Block& block) const {
      block.wait_for_prerequisites();
      if (block.thread() != 5) block.exchange(1, 1);
    }
  };
  Lanes lanes;
  EmulatedLauncher<Block> launcher;
  launcher.lanes = &lanes;
  EXPECT_THROW(launcher.launch(Kernel{}, 1), LanesStuck);
}

TEST(EmulatedBlock, FindsABarrierThatIsMissing) {
  struct Kernel : OneWave {
    int* found;
    bool barrier;
    void operator()(const Block& block) const {
      block.wait_for_prerequisites();
      auto& number = block.shared<int>();
      if (block.thread() == 17) number = 42;
      if (barrier) block.barrier();
      found[block.thread()] = number;
    }
  };
  Lanes lanes;
  EmulatedLauncher<Block> launcher;
  launcher.lanes = &lanes;
  int found[64] = {};
  const auto all_found = [&] { return std::ranges::count(found, 42) == 64; };
  for (const LaneOrder order : {LaneOrder::forward, LaneOrder::backward}) {
    launcher.order = order;
    launcher.launch(Kernel{{}, found, true}, 1);
    EXPECT_TRUE(all_found());
    launcher.launch(Kernel{{}, found, false}, 1);
    EXPECT_FALSE(all_found());
  }
}

}  // namespace
}  // namespace kqbench::test
