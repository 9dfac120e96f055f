// SPDX-License-Identifier: Apache-2.0

// Quantization for CPUs. Each thread works on one long part of the tensor, so that it streams through memory and finds
// the part in its own caches when it comes back for the second time. Inner loops go over consecutive elements without a
// branch; compilers vectorize them.

#include "backends/host/native.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "backends/host/processor.hpp"
#include "backends/host/threads.hpp"
#include "kq/element.hpp"
#include "kq/format.hpp"
#include "kq/host.hpp"
#include "kq/numerics.hpp"

namespace kqbench {
namespace {

using kq::Granularity;
using kq::Request;
using kq::ScaleFormat;

/// Elements in a unit of work: threads do not share a cache line of codes.
constexpr std::int64_t unit = 64;

/// Memory of a request as typed rows.
template <class Element, class Code>
struct Tensors {
  const Element* input;
  Code* codes;
  std::int64_t rows;
  std::int64_t size;  ///< elements of a row
  std::int64_t input_stride;
  std::int64_t codes_stride;

  Tensors(const Request& r, const Operands& o)
      : input(static_cast<const Element*>(o.input)),
        codes(static_cast<Code*>(o.codes)),
        rows(r.num_tokens),
        size(r.hidden_size),
        input_stride(r.input_stride),
        codes_stride(r.codes_stride) {}

  /// The same memory as a single row if there are no gaps in it.
  Tensors flat() const {
    Tensors t = *this;
    if (input_stride == size && codes_stride == size) {
      t.size = rows * size;
      t.rows = 1;
    }
    return t;
  }
  const Element* in(std::int64_t row, std::int64_t column) const { return input + row * input_stride + column; }
  Code* out(std::int64_t row, std::int64_t column) const { return codes + row * codes_stride + column; }

  /// The elements that one of `parts` threads works on, counted row after row.
  Slice share(int part, int parts) const { return slice_of(rows * size, part, parts, unit); }

  /// Calls function(row, column, count) for the elements of a slice, cut at the ends of rows.
  template <class Function>
  void for_each_piece(Slice slice, const Function& function) const {
    std::int64_t row = slice.begin / size;
    std::int64_t column = slice.begin % size;
    for (std::int64_t left = slice.end - slice.begin; left > 0; ++row, column = 0) {
      const std::int64_t count = std::min(left, size - column);
      function(row, column, count);
      left -= count;
    }
  }

  /// The same, but beginning with the end, which is what a first pass over the slice has left in the caches.
  template <class Function>
  void for_each_piece_backwards(Slice slice, const Function& function) const {
    constexpr std::int64_t step = 16384;
    for (std::int64_t begin = slice.begin + (slice.end - slice.begin - 1) / step * step; begin >= slice.begin;
         begin -= step) {
      for_each_piece({begin, std::min(begin + step, slice.end)}, function);
    }
  }
};

/// out[i] = quantizer.code(in[i])
template <class Element, class Quantizer>
void quantize(const Element* in, typename Quantizer::Code* out, std::int64_t size, const Quantizer& quantizer) {
  kq::host::quantize(in, out, size, quantizer, kq::host::distance_after<Element>(size));
}

/// out[i] = quantizer_of(i).code(in[i])
template <class Element, class Code, class QuantizerOf>
void quantize_each(const Element* in, Code* out, std::int64_t size, const QuantizerOf& quantizer_of) {
  kq::host::map(in, out, size, [quantizer_of](float x, std::int64_t i) { return quantizer_of(i).code(x); });
}

// --- static scales ---------------------------------------------------------------------------------------------------

template <class Element, class Format, bool Asymmetric>
auto static_quantizer(float scale, [[maybe_unused]] const std::int32_t* zero_point, float qmax) {
  if constexpr (Asymmetric) {
    return kq::AffineQuantizer(1.0f / scale, *zero_point, qmax);
  } else if constexpr (Format::is_integer) {
    return kq::DivideQuantizer<Format, Element>(scale, qmax);
  } else {
    return kq::MultiplyQuantizer<Format>(1.0f / scale, qmax);
  }
}

template <class Element, class Format, bool Asymmetric>
void static_scale(int threads, const Request& r, const Operands& o) {
  const auto* const scales = static_cast<const float*>(o.scales);
  const Tensors<Element, typename Format::Code> all(r, o);
  const bool whole = r.granularity == Granularity::tensor;
  const auto t = whole ? all.flat() : all;
  in_parallel(threads, [&](int part) {
    t.for_each_piece(t.share(part, threads), [&](std::int64_t row, std::int64_t column, std::int64_t count) {
      const auto quantizer = [scales, zero_points = o.zero_points, qmax = r.qmax](std::int64_t span) {
        return static_quantizer<Element, Format, Asymmetric>(scales[span], zero_points + span, qmax);
      };
      if (r.granularity == Granularity::channel) {
        quantize_each(t.in(row, column), t.out(row, column), count,
                      [quantizer, column](std::int64_t i) { return quantizer(column + i); });
      } else {
        quantize(t.in(row, column), t.out(row, column), count, quantizer(whole ? 0 : row));
      }
    });
  });
}

// --- dynamic scales of tensors and tokens ----------------------------------------------------------------------------

/// The extremes of a span, as far as its scheme needs them: max |x|, or min and max. NaN is left out.
struct Magnitude {
  float max = 0.0f;

  template <class Element>
  void add(const Element* in, std::int64_t size) {
    max = std::max(max, kq::host::abs_max(in, size));
  }
  void add(const Magnitude& other) { max = std::max(max, other.max); }
};
struct Range {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();

  template <class Element>
  void add(const Element* in, std::int64_t size) {
    const auto [low, high] = kq::host::range(in, size);
    add(Range{low, high});
  }
  void add(const Range& other) {
    min = std::min(min, other.min);
    max = std::max(max, other.max);
  }
};

// A dynamic scheme: which extremes of a span it needs, and what scale and quantizer follow from them.

struct Int8Symmetric {
  using Extremes = Magnitude;
  using Quantizer = kq::MultiplyQuantizer<kq::Int8>;
  static Quantizer quantizer(const Request& r, Extremes e, float* scale, std::int32_t* /*zero_point*/) {
    *scale = e.max / r.qmax;
    return {e.max == 0.0f ? 0.0f : r.qmax / e.max, r.qmax};
  }
};

struct Int8Asymmetric {
  using Extremes = Range;
  using Quantizer = kq::AffineQuantizer;
  static Quantizer quantizer(const Request& r, Extremes e, float* scale, std::int32_t* zero_point) {
    const kq::Affine affine = kq::affine_scale(e.min, e.max, r.qmax);
    *scale = affine.scale;
    *zero_point = affine.zero_point;
    return {1.0f / affine.scale, affine.zero_point, r.qmax};
  }
};

template <class Element, class Format>
struct Fp8Token {
  using Extremes = Magnitude;
  using Quantizer = kq::DivideQuantizer<Format, Element>;
  static Quantizer quantizer(const Request& r, Extremes e, float* scale, std::int32_t* /*zero_point*/) {
    *scale = kq::fp8_token_scale(e.max, r.qmax, r.scale_ub);
    return {*scale, r.qmax};
  }
};

template <class Format>
struct Fp8Tensor {
  using Extremes = Magnitude;
  using Quantizer = kq::MultiplyQuantizer<Format>;
  static Quantizer quantizer(const Request& r, Extremes e, float* scale, std::int32_t* /*zero_point*/) {
    *scale = kq::fp8_tensor_scale(e.max, r.qmax);
    return {1.0f / *scale, r.qmax};
  }
};

/// Every token by one thread: its second reading comes from that thread's own caches.
template <class Scheme, class Element>
void tokens_whole(int threads, const Request& r, const Operands& o) {
  const Tensors<Element, typename Scheme::Quantizer::Code> t(r, o);
  in_parallel(threads, [&](int part) {
    const Slice rows = slice_of(t.rows, part, threads);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      typename Scheme::Extremes extremes;
      extremes.add(t.in(row, 0), t.size);
      const auto quantizer = Scheme::quantizer(r, extremes, static_cast<float*>(o.scales) + row, o.zero_points + row);
      quantize(t.in(row, 0), t.out(row, 0), t.size, quantizer);
    }
  });
}

/// Every token by all threads, for fewer tokens than threads can share fairly. The workspace holds what each thread
/// finds in its part of each token.
template <class Scheme, class Element>
void tokens_shared(int threads, const Request& r, const Operands& o) {
  using Extremes = typename Scheme::Extremes;
  const Tensors<Element, typename Scheme::Quantizer::Code> t(r, o);
  auto* const partial = static_cast<Extremes*>(o.workspace);
  in_parallel(threads, [&](int part) {
    const Slice columns = slice_of(t.size, part, threads, unit);
    for (std::int64_t row = 0; row < t.rows; ++row) {
      Extremes extremes;
      extremes.add(t.in(row, columns.begin), columns.end - columns.begin);
      partial[row * threads + part] = extremes;
    }
  });
  in_parallel(threads, [&](int part) {
    const Slice columns = slice_of(t.size, part, threads, unit);
    for (std::int64_t row = 0; row < t.rows; ++row) {
      Extremes extremes;
      for (int other = 0; other < threads; ++other) {
        extremes.add(partial[row * threads + other]);
      }
      float scale = 0.0f;
      std::int32_t zero_point = 0;
      const auto quantizer = Scheme::quantizer(r, extremes, &scale, &zero_point);
      if (part == 0) {
        static_cast<float*>(o.scales)[row] = scale;
        if (r.asymmetric) o.zero_points[row] = zero_point;
      }
      quantize(t.in(row, columns.begin), t.out(row, columns.begin), columns.end - columns.begin, quantizer);
    }
  });
}

/// The whole tensor in two passes over each thread's part.
template <class Scheme, class Element>
void tensor(int threads, const Request& r, const Operands& o) {
  using Extremes = typename Scheme::Extremes;
  const auto t = Tensors<Element, typename Scheme::Quantizer::Code>(r, o).flat();
  auto* const partial = static_cast<Extremes*>(o.workspace);
  in_parallel(threads, [&](int part) {
    Extremes extremes;
    t.for_each_piece(t.share(part, threads), [&](std::int64_t row, std::int64_t column, std::int64_t count) {
      extremes.add(t.in(row, column), count);
    });
    partial[part] = extremes;
  });
  Extremes extremes;
  for (int part = 0; part < threads; ++part) {
    extremes.add(partial[part]);
  }
  const auto quantizer = Scheme::quantizer(r, extremes, static_cast<float*>(o.scales), o.zero_points);
  in_parallel(threads, [&](int part) {
    t.for_each_piece_backwards(t.share(part, threads), [&](std::int64_t row, std::int64_t column, std::int64_t count) {
      quantize(t.in(row, column), t.out(row, column), count, quantizer);
    });
  });
}

/// Whether tokens are shared out whole: if that leaves threads idle for an eighth of the time at most.
bool whole_tokens(const Request& r, int threads) {
  const std::int64_t rounds = (r.num_tokens + threads - 1) / threads;
  return 8 * rounds * threads <= 9 * r.num_tokens;
}

template <class Scheme, class Element>
void tokens(int threads, const Request& r, const Operands& o) {
  if (whole_tokens(r, threads)) {
    tokens_whole<Scheme, Element>(threads, r, o);
  } else {
    tokens_shared<Scheme, Element>(threads, r, o);
  }
}

// --- groups ----------------------------------------------------------------------------------------------------------

template <class Element, class Format>
void groups(int threads, const Request& r, const Operands& o) {
  const Tensors<Element, typename Format::Code> t(r, o);
  const std::int64_t groups_per_row = kq::groups_per_row(r);
  in_parallel(threads, [&](int part) {
    const Slice share = slice_of(t.rows * groups_per_row, part, threads);
    std::int64_t row = share.begin / groups_per_row;
    std::int64_t group = share.begin % groups_per_row;
    for (std::int64_t left = share.end - share.begin; left > 0; --left) {
      const std::int64_t column = group * r.group_size;
      const std::int64_t count = std::min(r.group_size, t.size - column);
      const float exact = kq::group_scale(kq::host::abs_max(t.in(row, column), count), r.qmax);
      const float scale = r.scale_format == ScaleFormat::float32 ? exact : kq::ceil_to_power_of_two(exact);
      const std::int64_t index =
          r.scale_layout == kq::ScaleLayout::row ? row * groups_per_row + group : group * t.rows + row;
      if (r.scale_format == ScaleFormat::ue8m0) {
        static_cast<std::uint8_t*>(o.scales)[index] = kq::ue8m0_code(scale);
      } else {
        static_cast<float*>(o.scales)[index] = scale;
      }
      quantize(t.in(row, column), t.out(row, column), count, kq::DivideQuantizer<Format, Element>(scale, r.qmax));
      if (++group == groups_per_row) {
        group = 0;
        ++row;
      }
    }
  });
}

// --- from a request to its code --------------------------------------------------------------------------------------

template <class Element, class Format>
void run(int threads, const Request& r, const Operands& o) {
  if (r.static_scale) return static_scale<Element, Format, false>(threads, r, o);
  if (r.granularity == Granularity::group) return groups<Element, Format>(threads, r, o);
  const bool whole = r.granularity == Granularity::tensor;
  if constexpr (Format::is_integer) {
    return whole ? tensor<Int8Symmetric, Element>(threads, r, o) : tokens<Int8Symmetric, Element>(threads, r, o);
  } else {
    return whole ? tensor<Fp8Tensor<Format>, Element>(threads, r, o)
                 : tokens<Fp8Token<Element, Format>, Element>(threads, r, o);
  }
}

template <class Element>
void run(int threads, const Request& r, const Operands& o) {
  if (r.asymmetric) {
    if (r.static_scale) return static_scale<Element, kq::Int8, true>(threads, r, o);
    return r.granularity == Granularity::tensor ? tensor<Int8Asymmetric, Element>(threads, r, o)
                                                : tokens<Int8Asymmetric, Element>(threads, r, o);
  }
  switch (r.format) {
    case kq::Format::int8:
      return run<Element, kq::Int8>(threads, r, o);
    case kq::Format::fp8_e4m3fn:
      return run<Element, kq::Fp8E4M3Fn>(threads, r, o);
    case kq::Format::fp8_e5m2:
      return run<Element, kq::Fp8E5M2>(threads, r, o);
    case kq::Format::fp8_e4m3fnuz:
      return run<Element, kq::Fp8E4M3Fnuz>(threads, r, o);
    case kq::Format::fp8_e5m2fnuz:
      return run<Element, kq::Fp8E5M2Fnuz>(threads, r, o);
  }
}

class NativeHostImplementation final : public Implementation {
 public:
  explicit NativeHostImplementation(int threads) : threads_(threads) {}

  std::string_view name() const override { return "native"; }
  std::string description() const override {
    return "C++ for " + compiled_architecture() + ", " + std::to_string(threads_) +
           (threads_ == 1 ? " thread" : " threads") + (has_threads ? " (OpenMP)" : "");
  }
  std::optional<std::string> unsupported_reason(const Request&) const override { return std::nullopt; }

  std::size_t workspace_bytes(const Request& r) const override {
    const auto partials = static_cast<std::size_t>(threads_) * sizeof(Range);
    if (r.static_scale || r.granularity == Granularity::group) return 0;
    if (r.granularity == Granularity::tensor) return partials;
    return whole_tokens(r, threads_) ? 0 : partials * static_cast<std::size_t>(r.num_tokens);
  }

  void enqueue(const Request& r, const Operands& o) override {
    switch (r.element) {
      case kq::Element::half:
        return run<kq::half>(threads_, r, o);
      case kq::Element::bfloat16:
        return run<kq::bfloat16>(threads_, r, o);
      case kq::Element::float32:
        return run<float>(threads_, r, o);
    }
  }

 private:
  int threads_;
};

}  // namespace

std::unique_ptr<Implementation> make_native_host_implementation(int threads) {
  return std::make_unique<NativeHostImplementation>(threads);
}

}  // namespace kqbench
