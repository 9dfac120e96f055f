// SPDX-License-Identifier: Apache-2.0

// Producers in front of quantizers: every implementation against the reference, and the reference against its steps.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "bench/measure/device_memory.hpp"
#include "kq/element.hpp"
#include "kq/request.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/run.hpp"

namespace kqbench::test {
namespace {

/// A request of each scheme behind a producer, of int8 where that is served, else fp8.
std::vector<kq::Request> requests_behind(kq::Producer producer, kq::Element element, std::int64_t num_tokens,
                                         std::int64_t hidden_size) {
  std::vector<kq::Request> requests;
  for (const kq::Scheme& scheme : kq::schemes()) {
    for (const kq::Format format : {kq::Format::int8, kq::Format::fp8_e4m3fn, kq::Format::fp8_e5m2fnuz}) {
      kq::Request r = request_of(scheme, element, format, num_tokens, hidden_size);
      r.producer = producer;
      if (!kq::validate(r)) requests.push_back(kq::resolved(r));
    }
  }
  return requests;
}

TEST(Producers, AreTheSameInEveryImplementation) {
  std::uint64_t seed = 0;
  for (const kq::Element element : all_elements) {
    for (const kq::ProducerFacts& facts : kq::producers()) {
      for (const std::int64_t hidden_size : {1, 17, 640, 1031, 4100}) {
        for (const kq::Request& request : requests_behind(facts.producer, element, 5, hidden_size)) {
          ++seed;
          EXPECT_RIGHT(problem_of(request, seed, all_fills[seed % std::size(all_fills)]),
                       {static_cast<int>(seed % 3), static_cast<int>(seed % 5), 0});
        }
      }
    }
  }
}

/// A row is the same whatever other rows there are, and wherever it lies.
TEST(Producers, GiveARowTheSameBytesAloneAndInABatch) {
  for (const kq::Element element : all_elements) {
    for (const kq::ProducerFacts& facts : kq::producers()) {
      kq::Request batch;
      batch.element = element;
      batch.format = kq::Format::fp8_e4m3fn;
      batch.granularity = kq::Granularity::token;
      batch.producer = facts.producer;
      batch.num_tokens = 9;
      batch.hidden_size = 1280;
      const Problem all = problem_of(batch, 5, Fill::normal);
      kq::Request one = batch;
      one.num_tokens = 1;
      one.input_stride = kq::input_columns(one) + 8;
      for (const std::int64_t row : {std::int64_t{0}, std::int64_t{4}, std::int64_t{8}}) {
        const auto part = [&](const std::vector<std::byte>& bytes, std::size_t row_bytes) {
          const auto begin = bytes.begin() + row * static_cast<std::int64_t>(row_bytes);
          return bytes.empty() ? bytes : std::vector<std::byte>(begin, begin + static_cast<std::int64_t>(row_bytes));
        };
        const std::size_t size = kq::element_size(element);
        HostTensors sources;
        sources.input = part(all.given.input, static_cast<std::size_t>(kq::input_columns(batch)) * size);
        sources.weight = all.given.weight;
        sources.residual = part(all.given.residual, static_cast<std::size_t>(batch.hidden_size) * size);
        Problem alone = kqbench::make_problem(one, sources, {});
        EXPECT_EQ(alone.expected.codes, part(all.expected.codes, static_cast<std::size_t>(batch.hidden_size)));
        EXPECT_EQ(alone.expected.scales, part(all.expected.scales, sizeof(float)));
        EXPECT_RIGHT(alone);
      }
    }
  }
}

/// The sum may take the residual's place, also where lanes to spare share a row with others.
TEST(Producers, MayStoreTheSumInTheResidualsPlace) {
  kq::Request request;
  request.format = kq::Format::fp8_e4m3fn;
  request.granularity = kq::Granularity::token;
  request.producer = kq::Producer::add_rms_norm;
  request.num_tokens = 3;
  for (const std::int64_t hidden_size : {17, 640, 4096}) {
    request.hidden_size = hidden_size;
    const Problem problem = problem_of(request, 3, Fill::normal);
    for (const Candidate& candidate : candidates()) {
      Device& device = *candidate.device;
      Implementation& implementation = *candidate.implementation;
      const auto copied = [&device](const std::vector<std::byte>& bytes) {
        DeviceMemory memory(device, bytes.size());
        device.copy_to_device(memory.data(), bytes.data(), bytes.size());
        return memory;
      };
      const DeviceMemory input = copied(problem.given.input);
      const DeviceMemory weight = copied(problem.given.weight);
      const DeviceMemory codes(device, kq::codes_bytes(problem.request));
      const DeviceMemory scales(device, kq::scales_bytes(problem.request));
      const DeviceMemory workspace(device, implementation.workspace_bytes(problem.request));
      if (workspace.data() != nullptr)
        device.fill(workspace.data(), 0, implementation.workspace_bytes(problem.request));
      constexpr int trials = 20;  // what waves that run at once do to each other is seen in some launches alone
      for (int trial = 0; trial < trials; ++trial) {
        const DeviceMemory residual = copied(problem.given.residual);
        Operands operands;
        operands.input = input.data();
        operands.weight = weight.data();
        operands.residual = operands.residual_out = residual.data();
        operands.codes = codes.data();
        operands.scales = scales.data();
        operands.workspace = workspace.data();
        implementation.enqueue(problem.request, operands);
        std::vector<std::byte> sum(problem.expected.residual_out.size());
        std::vector<std::byte> found(problem.expected.codes.size());
        device.copy_to_host(sum.data(), residual.data(), sum.size());
        device.copy_to_host(found.data(), codes.data(), found.size());
        EXPECT_EQ(sum, problem.expected.residual_out) << implementation.name();
        EXPECT_EQ(found, problem.expected.codes) << implementation.name();
      }
    }
  }
}

/// The plain steps, one after the other, of a row of ones: the norm of it is its weight.
TEST(Producers, NormOnesToTheirWeight) {
  kq::Request request;
  request.element = kq::Element::float32;
  request.format = kq::Format::int8;
  request.static_scale = true;
  request.producer = kq::Producer::rms_norm;
  request.num_tokens = 1;
  request.hidden_size = 4;
  request.eps = 0x1p-60f;
  const float input[4] = {1.0f, 1.0f, -1.0f, 1.0f};
  const float weight[4] = {3.0f, -2.0f, 5.0f, 0.0f};
  const float scale = 1.0f;
  Operands given;
  given.input = input;
  given.weight = weight;
  given.scales = const_cast<float*>(&scale);
  const HostTensors outputs = reference(request, given);
  const std::vector<std::byte> expected{std::byte{3}, std::byte{0xfe}, std::byte{0xfb}, std::byte{0}};
  EXPECT_EQ(outputs.codes, expected);
}

}  // namespace
}  // namespace kqbench::test
