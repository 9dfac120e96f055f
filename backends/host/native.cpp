// SPDX-License-Identifier: Apache-2.0

// Quantization for CPUs. Each thread works on one long part of the tensor, so that it streams through memory and finds
// the part in its own caches when it comes back for the second time. Inner loops go over consecutive elements without a
// branch; compilers vectorize them.

#include "backends/host/native.hpp"

#include <algorithm>
#include <string>

#include "backends/host/processor.hpp"
#include "backends/host/threads.hpp"
#include "kq/architecture.hpp"
#include "kq/element.hpp"
#include "kq/host.hpp"
#include "kq/producers.hpp"
#include "kq/reduce.hpp"
#include "kq/scale_layout.hpp"
#include "kq/scale_rules.hpp"

namespace kqbench {
namespace {

using kq::Granularity;
using kq::Request;

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

  /// This memory as a single row if there are no gaps in it.
  Tensors flat() const {
    Tensors t = *this;
    if (input_stride == size && codes_stride == size) {
      t.size = rows * size;
      t.rows = 1;
    }
    return t;
  }
  const Element* in(std::int64_t row, std::int64_t column) const { return input + row * input_stride + column; }
  Code* out(std::int64_t row, std::int64_t column) const {
    return kq::element_address(codes, row * codes_stride + column);
  }

  /// The elements that one of `parts` threads works on, counted row after row.
  Slice part(int index, int parts) const { return slice_of(rows * size, index, parts, unit); }

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

  /// for_each_piece from the slice's end, which is what a first pass over the slice has left in the caches.
  template <class Function>
  void for_each_piece_backwards(Slice slice, const Function& function) const {
    constexpr std::int64_t step = 16384;
    for (std::int64_t begin = slice.begin + (slice.end - slice.begin - 1) / step * step; begin >= slice.begin;
         begin -= step) {
      for_each_piece({begin, std::min(begin + step, slice.end)}, function);
    }
  }
};

/// out[i] = quantizer.code(in[i]), of codes of four bits two per byte.
template <class Element, class Code, class Quantizer>
void quantize(const Element* in, Code* out, std::int64_t size, const Quantizer& quantizer) {
  kq::host::quantize(in, out, size, quantizer, kq::host::prefetch_distance<Element>(size));
}

/// out[i] = quantizer_of(i).code(in[i])
template <class Element, class Code, class QuantizerOf>
void quantize_each(const Element* in, Code* out, std::int64_t size, const QuantizerOf& quantizer_of) {
  kq::host::map(in, out, size, [quantizer_of](float x, std::int64_t i) { return quantizer_of(i).code(x); });
}

// --- static scales ---------------------------------------------------------------------------------------------------

template <class Element, class Rule>
void static_scale(int threads, const Request& r, const Operands& o, const Rule& rule) {
  const kq::GivenScales scales{static_cast<const float*>(o.scales), o.zero_points};
  const Tensors<Element, typename Rule::Code> all(r, o);
  const bool whole = r.granularity == Granularity::tensor;
  const auto t = whole ? all.flat() : all;
  in_parallel(threads, [&](int part) {
    t.for_each_piece(t.part(part, threads), [&](std::int64_t row, std::int64_t column, std::int64_t count) {
      if (r.granularity == Granularity::channel) {
        quantize_each(t.in(row, column), t.out(row, column), count,
                      [scales, rule, column](std::int64_t i) { return rule.scale(scales, column + i).quantizer(); });
      } else {
        quantize(t.in(row, column), t.out(row, column), count, rule.scale(scales, whole ? 0 : row).quantizer());
      }
    });
  });
}

// --- dynamic scales of tensors and tokens ----------------------------------------------------------------------------

/// Every token by one thread: its second reading comes from that thread's own caches.
template <class Element, class Rule>
void whole_tokens(int threads, const Request& r, const Operands& o, const Rule& rule) {
  const kq::FloatScales scales{static_cast<float*>(o.scales), o.zero_points};
  const Tensors<Element, typename Rule::Code> t(r, o);
  in_parallel(threads, [&](int part) {
    const Slice rows = slice_of(t.rows, part, threads);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const auto maxima = kq::host::maxima(rule.reduction, t.in(row, 0), t.size);
      const auto scale = rule.scale(Rule::Reduction::value(maxima.value));
      quantize(t.in(row, 0), t.out(row, 0), t.size, scale.quantizer());
      scales.at(row).write(scale);
    }
  });
}

/// Every token by all threads, for fewer tokens than threads can share fairly. The workspace holds what each thread
/// finds in its part of each token.
template <class Element, class Rule>
void shared_tokens(int threads, const Request& r, const Operands& o, const Rule& rule) {
  using Found = kq::Maxima<typename Rule::Reduction>;
  const kq::FloatScales scales{static_cast<float*>(o.scales), o.zero_points};
  const Tensors<Element, typename Rule::Code> t(r, o);
  auto* const partial = static_cast<Found*>(o.workspace);
  in_parallel(threads, [&](int part) {
    const Slice columns = slice_of(t.size, part, threads, unit);
    for (std::int64_t row = 0; row < t.rows; ++row) {
      partial[row * threads + part] =
          kq::host::maxima(rule.reduction, t.in(row, columns.begin), columns.end - columns.begin);
    }
  });
  in_parallel(threads, [&](int part) {
    const Slice columns = slice_of(t.size, part, threads, unit);
    for (std::int64_t row = 0; row < t.rows; ++row) {
      Found maxima;
      for (int other = 0; other < threads; ++other) {
        maxima.add(partial[row * threads + other]);
      }
      const auto scale = rule.scale(Rule::Reduction::value(maxima.value));
      if (part == 0) scales.at(row).write(scale);
      quantize(t.in(row, columns.begin), t.out(row, columns.begin), columns.end - columns.begin, scale.quantizer());
    }
  });
}

/// What a reduction finds in the whole tensor. The workspace holds what each thread finds in its part.
template <class Reduction, class Element, class Code>
auto reduce_tensor(int threads, const Tensors<Element, Code>& t, void* workspace) {
  using Found = kq::Maxima<Reduction>;
  auto* const partial = static_cast<Found*>(workspace);
  in_parallel(threads, [&](int part) {
    Found maxima;
    t.for_each_piece(t.part(part, threads), [&](std::int64_t row, std::int64_t column, std::int64_t count) {
      maxima.add(kq::host::maxima(Reduction{}, t.in(row, column), count));
    });
    partial[part] = maxima;
  });
  Found maxima;
  for (int part = 0; part < threads; ++part) {
    maxima.add(partial[part]);
  }
  return Reduction::value(maxima.value);
}

/// The whole tensor in two passes over each thread's part.
template <class Element, class Rule>
void tensor(int threads, const Request& r, const Operands& o, const Rule& rule) {
  const auto t = Tensors<Element, typename Rule::Code>(r, o).flat();
  const auto scale = rule.scale(reduce_tensor<typename Rule::Reduction>(threads, t, o.workspace));
  kq::FloatScales{static_cast<float*>(o.scales), o.zero_points}.at(0).write(scale);
  in_parallel(threads, [&](int part) {
    t.for_each_piece_backwards(t.part(part, threads), [&](std::int64_t row, std::int64_t column, std::int64_t count) {
      quantize(t.in(row, column), t.out(row, column), count, scale.quantizer());
    });
  });
}

/// Whether threads take whole tokens: if that leaves them idle for an eighth of the time at most.
bool takes_whole_tokens(const Request& r, int threads) {
  const std::int64_t rounds = (r.num_tokens + threads - 1) / threads;
  return 8 * rounds * threads <= 9 * r.num_tokens;
}

// --- groups ----------------------------------------------------------------------------------------------------------

/// Calls function(row, first group, groups) for the groups that are part `part` of `parts`, in order, once per row:
/// with all of the row's groups that are in the part.
template <class Function>
void for_each_run_of_groups(const Request& r, int part, int parts, const Function& function) {
  const std::int64_t groups_per_row = kq::groups_per_row(r);
  const Slice mine = slice_of(r.num_tokens * groups_per_row, part, parts);
  std::int64_t row = mine.begin / groups_per_row;
  std::int64_t group = mine.begin % groups_per_row;
  for (std::int64_t left = mine.end - mine.begin; left > 0; ++row, group = 0) {
    const std::int64_t groups = std::min(left, groups_per_row - group);
    function(row, group, groups);
    left -= groups;
  }
}

template <class Element, class Rule>
void groups(int threads, const Request& r, const Operands& o, const Rule& rule) {
  const kq::AnyGroupScales scales = kq::any_group_scales(r, o.scales);
  const Tensors<Element, typename Rule::Code> t(r, o);
  in_parallel(threads, [&](int part) {
    for_each_run_of_groups(r, part, threads, [&](std::int64_t row, std::int64_t first, std::int64_t count) {
      const std::int64_t column = first * r.group_size;
      const std::int64_t size = std::min(count * r.group_size, r.hidden_size - column);
      kq::host::quantize_groups(t.in(row, column), t.out(row, column), size, r.group_size, rule, [&](std::int64_t i) {
        return scales.at({row, first + i});
      });
    });
  });
}

/// Groups and blocks whose scales are given.
template <class Element, class Rule>
void static_groups(int threads, const Request& r, const Operands& o, const Rule& rule) {
  const kq::GivenGroupScales scales = kq::given_group_scales(r, o.scales);
  const Tensors<Element, typename Rule::Code> t(r, o);
  const std::int64_t rows_per_scale = kq::rows_per_scale(r);
  in_parallel(threads, [&](int part) {
    for_each_run_of_groups(r, part, threads, [&](std::int64_t row, std::int64_t first, std::int64_t count) {
      for (std::int64_t group = first; group < first + count; ++group) {
        const std::int64_t column = group * r.group_size;
        const auto scale = rule.scale(scales, scales.offset(row / rows_per_scale, group));
        quantize(t.in(row, column), t.out(row, column), std::min(r.group_size, r.hidden_size - column),
                 scale.quantizer());
      }
    });
  });
}

// --- blocks ----------------------------------------------------------------------------------------------------------

/// Every block by one thread: its second reading comes from that thread's own caches.
template <class Element, class Rule>
void blocks(int threads, const Request& r, const Operands& o, const Rule& rule) {
  const kq::AnyGroupScales scales = kq::any_group_scales(r, o.scales);
  const Tensors<Element, typename Rule::Code> t(r, o);
  in_parallel(threads, [&](int part) {
    const Slice mine = slice_of(kq::num_scales(r), part, threads);
    for (std::int64_t block = mine.begin; block < mine.end; ++block) {
      const Slice rows{block / scales.columns * r.block_rows,
                       std::min((block / scales.columns + 1) * r.block_rows, t.rows)};
      const std::int64_t column = block % scales.columns * r.group_size;
      const std::int64_t count = std::min(r.group_size, t.size - column);
      kq::Maxima<typename Rule::Reduction> maxima;
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        maxima.add(kq::host::maxima(rule.reduction, t.in(row, column), count));
      }
      const auto scale = rule.scale(Rule::Reduction::value(maxima.value));
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        quantize(t.in(row, column), t.out(row, column), count, scale.quantizer());
      }
      scales.at({block / scales.columns, block % scales.columns}).write(scale);
    }
  });
}

/// Groups and blocks of codes of four bits, whose scales may have one of the tensor beside them.
template <class Element>
void fp4_spans(int threads, const Request& r, const Operands& o) {
  float amax = 0.0f;
  if (kq::finds_global_scale(r)) {
    amax = reduce_tensor<kq::AbsMax>(threads, Tensors<Element, kq::Code4>(r, o).flat(), o.workspace);
  }
  kq::with_fp4_group_rule<Element>(r, &amax, [&]<class Rule>(const Rule& rule) {
    if constexpr (requires { rule.tensor_scale(); }) {
      if (kq::has_global_scale(r)) *o.global_scale = rule.tensor_scale();
    }
    if constexpr (!Rule::reads_span) {
      if (r.granularity == Granularity::block) return blocks<Element>(threads, r, o, rule);
    }
    groups<Element>(threads, r, o, rule);
  });
}

// --- dynamic scales of channels --------------------------------------------------------------------------------------

/// The maxima of columns, [count, slabs of rows, columns]: maximum k of a slab's column.
template <class Reduction>
struct ColumnPartials {
  float* values;
  std::int64_t slabs;
  std::int64_t columns;

  float* row(int k, std::int64_t slab) const { return values + (k * slabs + slab) * columns; }
  auto value(std::int64_t column) const {
    float maxima[Reduction::count];
    for (int k = 0; k < Reduction::count; ++k) {
      maxima[k] = row(k, 0)[column];
    }
    return Reduction::value(maxima);
  }
};

/// Threads take slabs of rows, as far as there are rows; they share a slab's columns if there are fewer.
struct ChannelParts {
  std::int64_t slabs;
  std::int64_t strips;
  ChannelParts(const Request& r, int threads)
      : slabs(std::min<std::int64_t>(threads, r.num_tokens)), strips(threads / slabs) {}
};

/// The maxima of some columns of some rows, to where `partials` has them for the slab.
template <class Reduction, class Element, class Code>
void find_column_maxima(const Tensors<Element, Code>& t, Slice rows, Slice columns,
                        const ColumnPartials<Reduction>& partials, std::int64_t slab) {
  constexpr std::int64_t most = kq::host::block_size;
  for (std::int64_t first = columns.begin; first < columns.end; first += most) {
    const std::int64_t count = std::min(most, columns.end - first);
    float maxima[Reduction::count][most];
    for (auto& values : maxima) {
      std::fill_n(values, count, Reduction::identity);
    }
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      float x[most];
      kq::host::to_floats(t.in(row, first), x, count);
      for (std::int64_t i = 0; i < count; ++i) {
        float found[Reduction::count];
        for (int k = 0; k < Reduction::count; ++k) {
          found[k] = maxima[k][i];
        }
        Reduction::extend(found, x[i]);
        for (int k = 0; k < Reduction::count; ++k) {
          maxima[k][i] = found[k];
        }
      }
    }
    for (int k = 0; k < Reduction::count; ++k) {
      std::copy_n(maxima[k], count, partials.row(k, slab) + first);
    }
  }
}

/// In three passes: the maxima of each slab's columns; those of all slabs, in the place of the first one's, with the
/// scales; the codes.
template <class Element, class Rule>
void channels(int threads, const Request& r, const Operands& o, const Rule& rule) {
  using Reduction = typename Rule::Reduction;
  const Tensors<Element, typename Rule::Code> t(r, o);
  const kq::FloatScales scales{static_cast<float*>(o.scales), o.zero_points};
  const ChannelParts parts(r, threads);
  const ColumnPartials<Reduction> partials{static_cast<float*>(o.workspace), parts.slabs, t.size};
  in_parallel(static_cast<int>(parts.slabs * parts.strips), [&](int part) {
    const std::int64_t slab = part / parts.strips;
    find_column_maxima(t, slice_of(t.rows, slab, parts.slabs),
                       slice_of(t.size, part % parts.strips, parts.strips, unit), partials, slab);
  });
  in_parallel(threads, [&](int part) {
    const Slice columns = slice_of(t.size, part, threads, unit);
    for (std::int64_t slab = 1; slab < parts.slabs; ++slab) {
      for (int k = 0; k < Reduction::count; ++k) {
        float* const all = partials.row(k, 0);
        const float* const others = partials.row(k, slab);
        for (std::int64_t i = columns.begin; i < columns.end; ++i) {
          all[i] = std::max(all[i], others[i]);
        }
      }
    }
    for (std::int64_t i = columns.begin; i < columns.end; ++i) {
      scales.at(i).write(rule.scale(partials.value(i)));
    }
  });
  in_parallel(threads, [&](int part) {
    t.for_each_piece(t.part(part, threads), [&](std::int64_t row, std::int64_t column, std::int64_t count) {
      quantize_each(t.in(row, column), t.out(row, column), count, [partials, rule, column](std::int64_t i) {
        return rule.scale(partials.value(column + i)).quantizer();
      });
    });
  });
}

// --- producers -------------------------------------------------------------------------------------------------------

/// The values of a producer. Each row by one thread: the second reading of its elements comes from that thread's own
/// caches.
template <class Element>
void produce(int threads, const Request& r, const Operands& o, void* values) {
  kq::with_producer_rows<Element>(r, o, values, [&]<class ProducerRows>(const ProducerRows& rows) {
    in_parallel(threads, [&](int part) {
      const Slice mine = slice_of(r.num_tokens, part, threads);
      const std::int64_t vectors = rows.vectors();
      for (std::int64_t row = mine.begin; row < mine.end; ++row) {
        if constexpr (ProducerRows::is_norm) {
          const double sum = kq::host::sum_vectors(vectors, [&](std::int64_t i) { return rows.squares(row, i); });
          const float reciprocal = rows.reciprocal(sum);
          for (std::int64_t i = 0; i < vectors; ++i) {
            rows.store(row, i, reciprocal);
          }
        } else {
          for (std::int64_t i = 0; i < vectors; ++i) {
            rows.store(row, i);
          }
        }
      }
    });
  });
}

// --- from a request to its code --------------------------------------------------------------------------------------

template <class Element>
void run(int threads, const Request& r, const Operands& o) {
  if (r.format == kq::Format::fp4_e2m1) {
    if (!r.static_scale) return fp4_spans<Element>(threads, r, o);
    return kq::with_static_fp4_group_rule<Element>(
        r, o.global_scale, [&](const auto& rule) { static_groups<Element>(threads, r, o, rule); });
  }
  if (r.static_scale && kq::has_groups(r.granularity)) {
    return kq::with_static_group_rule<Element>(r,
                                               [&](const auto& rule) { static_groups<Element>(threads, r, o, rule); });
  }
  if (r.static_scale) {
    return kq::with_static_rule<Element>(r, [&](const auto& rule) { static_scale<Element>(threads, r, o, rule); });
  }
  switch (r.granularity) {
    case Granularity::tensor:
      return kq::with_tensor_rule<Element>(r, [&](const auto& rule) { tensor<Element>(threads, r, o, rule); });
    case Granularity::token:
      return kq::with_token_rule<Element>(r, o.scale_ub, [&](const auto& rule) {
        if (takes_whole_tokens(r, threads)) {
          whole_tokens<Element>(threads, r, o, rule);
        } else {
          shared_tokens<Element>(threads, r, o, rule);
        }
      });
    case Granularity::group:
      return kq::with_group_rule<Element>(r, [&](const auto& rule) { groups<Element>(threads, r, o, rule); });
    case Granularity::block:
      return kq::with_block_rule<Element>(r, [&](const auto& rule) { blocks<Element>(threads, r, o, rule); });
    case Granularity::channel:
      return kq::with_channel_rule<Element>(r, [&](const auto& rule) { channels<Element>(threads, r, o, rule); });
  }
}

class NativeHostImplementation final : public Implementation {
 public:
  explicit NativeHostImplementation(int threads) : threads_(threads) {}

  std::string_view name() const override { return "native"; }
  std::string description() const override {
    return std::string("C++ for ") + kq::compiled_architecture() + ", " + std::to_string(threads_) +
           (threads_ == 1 ? " thread" : " threads") + (has_threads ? " (OpenMP)" : "");
  }
  std::optional<std::string> unsupported_reason(const Request&) const override { return std::nullopt; }
  std::optional<int> host_threads() const override { return threads_; }

  std::size_t workspace_bytes(const Request& r) const override {
    if (r.num_tokens == 0) return 0;
    return r.producer == kq::Producer::none ? quantizer_bytes(r) : values_offset(r) + kq::values_bytes(r);
  }

  void enqueue(const Request& r, const Operands& o) override {
    if (r.num_tokens == 0) return;
    if (r.producer == kq::Producer::none) return quantize(r, o);
    Operands quantized = o;
    void* const values = static_cast<std::byte*>(o.workspace) + values_offset(r);
    quantized.input = values;
    kq::with_element(r.element, [&]<class T>(T) { produce<T>(threads_, r, o, values); });
    quantize(kq::quantizer_of(r), quantized);
  }

 private:
  /// Where the values of a producer lie in the workspace: behind what the quantizer has of it.
  std::size_t values_offset(const Request& r) const { return kq::values_offset(quantizer_bytes(r)); }

  std::size_t quantizer_bytes(const Request& r) const {
    const auto partials = static_cast<std::size_t>(threads_) * sizeof(kq::Maxima<kq::MinMax>);
    if (kq::finds_global_scale(r)) return partials;
    if (r.static_scale || kq::has_groups(r.granularity)) return 0;
    if (r.granularity == Granularity::channel) {
      const int count = r.asymmetric ? kq::MinMax::count : kq::AbsMax::count;
      return sizeof(float) * static_cast<std::size_t>(count * ChannelParts(r, threads_).slabs * r.hidden_size);
    }
    if (r.granularity == Granularity::tensor) return partials;
    return takes_whole_tokens(r, threads_) ? 0 : partials * static_cast<std::size_t>(r.num_tokens);
  }

  void quantize(const Request& r, const Operands& o) const {
    kq::with_element(r.element, [&]<class T>(T) { run<T>(threads_, r, o); });
  }

  int threads_;
};

}  // namespace

std::unique_ptr<Implementation> make_native_host_implementation(int threads) {
  return std::make_unique<NativeHostImplementation>(threads);
}

}  // namespace kqbench
