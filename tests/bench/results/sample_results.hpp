// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Results for tests, made up.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/measure/statistics.hpp"
#include "bench/results/result.hpp"
#include "kq/request.hpp"

namespace kqbench {

inline kq::Request token_request(std::int64_t num_tokens, std::int64_t hidden_size) {
  kq::Request request;
  request.format = kq::Format::int8;
  request.granularity = kq::Granularity::token;
  request.num_tokens = num_tokens;
  request.hidden_size = hidden_size;
  return kq::resolved(request);
}

inline TimeStatistics statistics_of(std::vector<double> samples) {
  const auto [min, max] = std::minmax_element(samples.begin(), samples.end());
  const Interval interval = median_interval(samples);
  return {median(samples), interval.low, interval.high, *min, *max, samples, {}, {}};
}

/// Samples around `centre`, within 1 % of it, in an order that has no trend.
inline std::vector<double> samples_around(double centre, int count = 25) {
  std::vector<double> samples;
  for (int i = 0; i < count; ++i) {
    samples.push_back(centre * (1.0 + 0.01 * (static_cast<double>(i * 7 % count) / (count - 1) - 0.5)));
  }
  return samples;
}

inline Row sample_row(const std::string& impl, const kq::Request& request, double microseconds) {
  Row row;
  row.request = request;
  row.impl = impl;
  row.backend = "cuda";
  row.timing = "graph";
  row.cache = "cold";
  row.copies = 3;
  row.bytes_between_uses = 150994944;
  row.verified = true;
  row.time_us = statistics_of(samples_around(microseconds));
  row.launches_per_sample = 75;
  row.stop = "interval";
  const kq::Traffic traffic = kq::minimal_traffic(request);
  row.bytes = traffic.read + traffic.written;
  row.gbps = static_cast<double>(row.bytes) / row.time_us->median * 1e-3;
  row.ceiling_mix = "2:1";
  row.ceiling_gbps = 4300.0;
  row.ceiling_fraction = row.gbps / *row.ceiling_gbps;
  return row;
}

/// A canary that agrees with kqbench's own time, `microseconds`.
inline Canary sample_canary(double microseconds = 1.54) {
  Canary canary;
  canary.impl = "kokkos";
  canary.operation = "static tensor";
  canary.request.format = kq::Format::fp8_e4m3fn;
  canary.request.granularity = kq::Granularity::tensor;
  canary.request.static_scale = true;
  canary.request.num_tokens = 1;
  canary.request.hidden_size = 4096;
  canary.request = kq::resolved(canary.request);
  canary.timing = "graph";
  canary.cache = "cold";
  canary.median_us_before = 1.01 * microseconds;
  canary.median_us_after = 0.99 * microseconds;
  canary.kqbench_median_us = microseconds;
  canary.launches_per_sample = 10238;
  return canary;
}

inline ResultFile sample_result() {
  ResultFile result;
  result.context.version = "0.1.0";
  result.context.commit = "0123456789ab";
  result.context.build_type = "Release";
  result.context.compiler = "g++ 12.2.0";
  result.context.device_compiler = "nvcc 13.0.48";
  result.context.device_architectures = "sm_90";
  result.context.host_architecture = "x86-64-v3";
  result.context.libraries = {{"Kokkos", "5.0.2"}, {"fmt", "9.1.0"}};
  result.context.implementations = {{"kokkos", "Kokkos 5.0.2, Cuda"}, {"native", "CUDA"}};
  result.context.backend = "cuda";
  result.context.device = "Some GPU";
  result.context.architecture = "sm_90";
  result.context.driver = "580.1";
  result.context.runtime = "CUDA 13.0";
  result.context.memory_bytes = std::uint64_t{139} << 30;
  result.context.cache_bytes = 50 << 20;
  result.context.compute_units = 132;
  result.context.power_cap_watts = 700.0;
  result.context.ceilings_gbps = {{"2:1", 4300.0}, {"copy", 4250.5}};
  result.context.host_cpu = "Some processor";
  result.context.host_threads = 16;
  result.context.host_threads_used = 1;
  result.context.clocks = {345.0, 1980.0, 3201.0, 3201.0, 512.0, 61.0, true};
  result.context.operating_system = "Linux 6.1 x86_64";
  result.context.time = "2026-01-02T03:04:05Z";
  result.context.command_line = "kqbench --json 'a \"b\".json'";
  result.context.seed = 18446744073709551615u;
  result.context.canary = {sample_canary()};
  result.context.canary[0].peer = "torch.compile";

  Row kokkos = sample_row("kokkos", token_request(4096, 8192), 26.5);
  kokkos.threads = 8;
  kokkos.time_us->rounds = {26.4, 26.5, 26.6};
  kokkos.time_us->repeatability = 0.03;
  kokkos.time_ratio_to_native = 1.01;
  kokkos.time_ratio_ci95_low = 1.005;
  kokkos.time_ratio_ci95_high = 1.015;
  kokkos.suspect = true;
  kokkos.drifted = true;
  kokkos.clocks = {1980.0, 1965.0, 3201.0, 3201.0, 512.5, 61.0, true};
  Row native = sample_row("native", token_request(4096, 8192), 26.2);
  native.time_ratio_to_native = 1.0;

  kq::Request odd;
  odd.element = kq::Element::bfloat16;
  odd.format = kq::Format::fp8_e4m3fnuz;
  odd.granularity = kq::Granularity::group;
  odd.group_size = 128;
  odd.scale_format = kq::ScaleFormat::ue8m0_float32;
  odd.scale_layout = kq::ScaleLayout::column;
  odd.num_tokens = 16384;
  odd.hidden_size = 16384;
  odd.input_stride = 16640;
  odd.codes_stride = 16512;
  odd.qmax = 224.0f;
  Row wrong = sample_row("kokkos", kq::resolved(odd), 1.0);
  wrong.verified = false;
  wrong.failure = "codes[token 3, channel 17] is 0x7f and must be 0x7e; 12 of 8192 bytes of copy 0 are wrong";
  wrong.time_us.reset();
  wrong.gbps = 0.0;
  wrong.ceiling_fraction.reset();
  wrong.stop.clear();

  kq::Request bounded;
  bounded.format = kq::Format::fp8_e4m3fn;
  bounded.granularity = kq::Granularity::token;
  bounded.num_tokens = 1;
  bounded.hidden_size = 5137;
  bounded.scale_ub = 0.1f;
  Row peer = sample_row("torch.compile", kq::resolved(bounded), 2.25);
  peer.verified = false;
  peer.codes_checked = CodesCheck{3, 5137};

  result.rows = {kokkos, native, wrong, peer};
  return result;
}

}  // namespace kqbench
