// SPDX-License-Identifier: Apache-2.0
#include "bench/requests/verify_cases.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "bench/support/errors.hpp"

namespace kqbench {
namespace {

constexpr std::int64_t small_elements = 16384;

constexpr kq::Format all_formats[] = {kq::Format::int8, kq::Format::fp8_e4m3fn, kq::Format::fp8_e5m2,
                                      kq::Format::fp8_e4m3fnuz, kq::Format::fp8_e5m2fnuz};
constexpr kq::Element all_elements[] = {kq::Element::half, kq::Element::bfloat16, kq::Element::float32};
constexpr GranularityChoice all_granularities[] = {{kq::Granularity::tensor},       {kq::Granularity::token},
                                                   {kq::Granularity::channel},      {kq::Granularity::group, 16},
                                                   {kq::Granularity::group, 64},    {kq::Granularity::group, 128},
                                                   {kq::Granularity::block, 16, 3}, {kq::Granularity::block, 128, 128}};
constexpr kq::ScaleFormat all_scale_formats[] = {kq::ScaleFormat::float32, kq::ScaleFormat::ue8m0_float32,
                                                 kq::ScaleFormat::ue8m0};
constexpr kq::ScaleLayout all_scale_layouts[] = {kq::ScaleLayout::row, kq::ScaleLayout::column,
                                                 kq::ScaleLayout::column_aligned, kq::ScaleLayout::packed};
constexpr std::int64_t ragged_tokens[] = {1, 3, 83};
constexpr std::int64_t ragged_hidden_sizes[] = {1, 7, 17, 1023, 1025, 5137};

template <class List, class All>
void fill_if_empty(List& list, const All& all) {
  if (list.empty()) list.assign(std::begin(all), std::end(all));
}

/// What the user gave, or else all there is.
template <class Item, std::size_t N>
std::vector<Item> given_or_all(const std::optional<Item>& given, const Item (&all)[N]) {
  return given ? std::vector<Item>{*given} : std::vector<Item>(std::begin(all), std::end(all));
}

/// A bound that is not the format's own: half of it, a whole number for int8.
float smaller_qmax(kq::Format format) {
  return std::floor(kq::format_max(format) / 2.0f);
}

/// The ways in which a request's scales can be found and stored. A value that the user gave is kept.
std::vector<kq::Request> scale_variants(const kq::Request& request, const Sweep& sweep) {
  std::vector<kq::Request> variants;
  const auto add = [&](auto change) {
    kq::Request variant = request;
    change(variant);
    variants.push_back(variant);
  };
  if (!kq::has_groups(request.granularity)) {
    variants.push_back(request);
  } else {
    for (const kq::ScaleFormat format : given_or_all(sweep.scale_format, all_scale_formats)) {
      for (const kq::ScaleLayout layout : given_or_all(sweep.scale_layout, all_scale_layouts)) {
        add([&](kq::Request& variant) {
          variant.scale_format = format;
          variant.scale_layout = layout;
        });
      }
    }
  }
  if (!sweep.qmax) add([](kq::Request& variant) { variant.qmax = smaller_qmax(variant.format); });
  if (!sweep.scale_ub) add([](kq::Request& variant) { variant.scale_ub = 1.5f; });
  return variants;
}

}  // namespace

std::string_view to_string(Placement placement) {
  switch (placement) {
    case Placement::packed:
      return "packed";
    case Placement::strided:
      return "strided";
    case Placement::misaligned:
      return "misaligned";
  }
  return "";
}

std::vector<kq::Request> verify_requests(const Sweep& given) {
  Sweep sweep = given;
  fill_if_empty(sweep.formats, all_formats);
  fill_if_empty(sweep.elements, all_elements);
  fill_if_empty(sweep.granularities, all_granularities);
  fill_if_empty(sweep.num_tokens, ragged_tokens);
  fill_if_empty(sweep.hidden_sizes, ragged_hidden_sizes);

  std::vector<kq::Request> requests;
  std::optional<std::string> first_reason;
  for (const bool static_scale : {true, false}) {
    if (sweep.static_scale && !static_scale) continue;
    for (const bool asymmetric : {true, false}) {
      if (sweep.asymmetric && !asymmetric) continue;
      Sweep part = sweep;
      part.static_scale = static_scale;
      part.asymmetric = asymmetric;
      try {
        const SweepPlan plan = plan_sweep(part);
        for (const kq::Request& request : plan.requests) {
          for (const kq::Request& variant : scale_variants(request, given)) {
            if (!kq::validate(variant)) requests.push_back(variant);
          }
        }
      } catch (const UsageError& nothing_valid) {
        first_reason = nothing_valid.what();
      }
    }
  }
  if (requests.empty()) throw UsageError(*first_reason);
  return requests;
}

std::vector<VerifyCase> verify_cases(const kq::Request& request, std::size_t index) {
  const auto place = [&request](Placement placement) {
    kq::Request placed = request;
    if (placement == Placement::strided) {
      if (placed.input_stride == 0) placed.input_stride = request.hidden_size + 3;
      placed.codes_stride = request.hidden_size + 5;
      const bool strides = placed.scale_layout == kq::ScaleLayout::column && placed.scale_stride == 0;
      if (strides) placed.scale_stride = kq::scale_rows(request) + 3;
    }
    return placed;
  };
  constexpr Placement placements[] = {Placement::packed, Placement::strided, Placement::misaligned};
  std::vector<VerifyCase> cases;
  const auto add = [&](Fill fill, Placement placement) { cases.push_back({place(placement), fill, placement}); };
  if (request.num_tokens <= small_elements / request.hidden_size) {
    for (const Fill fill : all_fills)
      add(fill, Placement::packed);
    add(all_fills[index % std::size(all_fills)], Placement::strided);
    add(all_fills[(index + 3) % std::size(all_fills)], Placement::misaligned);
  } else {
    add(Fill::normal, placements[index % std::size(placements)]);
    add(all_fills[1 + index % (std::size(all_fills) - 1)], placements[(index + 1) % std::size(placements)]);
  }
  return cases;
}

}  // namespace kqbench
