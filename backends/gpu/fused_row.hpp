// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A row that a producer makes, as the lanes that share it hold it: what fused_row.cu quantizes. A lane loads vectors
/// of 16 bytes of the producer's inputs, aligned, and computes a vector of values from each, in registers, or reads the
/// row again from the caches where registers do not hold it. The values are those that produce.cu stores, bit for bit.

#include <cstdint>
#include <type_traits>

#include "backends/backend.hpp"
#include "backends/gpu/reduce.hpp"
#include "backends/gpu/tile.hpp"
#include "backends/gpu/tile_config.hpp"
#include "kq/arch/arch.hpp"
#include "kq/producers.hpp"
#include "kq/request.hpp"
#include "kq/span.hpp"
#include "kq/vector.hpp"

namespace kqbench::gpu {

using kq::Producer;
using kq::ProducerForm;

// --- producers -------------------------------------------------------------------------------------------------------

/// A norm in its form: T((z * r) * weight), z being x or T(x + residual); or T(T(z * r) * weight), z = x + residual,
/// for which the residual is kept until the values are made.
template <class Element_, bool HasResidual, ProducerForm Form>
struct FusedNorm {
  using Element = Element_;
  using Value = Element_;
  static constexpr bool is_norm = true;
  static constexpr ProducerForm form = Form;
  static constexpr bool rounds_sum = Form == ProducerForm::plain;
  static constexpr int width = vector_width<Element>;
  /// As many registers as two tensors' vectors take, three's, or nearly that where they are loaded at once.
  static constexpr int resident_threads = !HasResidual ? 1024 : (rounds_sum ? 768 : 512);
  static constexpr bool loads_one = !HasResidual;             ///< tensor, before the sum
  static constexpr bool spreads = HasResidual && rounds_sum;  ///< long rows over many lanes
  static constexpr bool in_parts = false;

  /// What a vector of values is made of.
  struct Inputs {
    Vector16 x;  ///< if it is rounded, the sum with the residual from add() on
    Vector16 residual;
    Vector16 weight;
  };
  /// A lane's first vector in each tensor.
  struct Cursor {
    const Element* x;
    const Element* residual;
    Element* residual_out;
    const Element* weight;
  };

  kq::Rows<const Element> input;
  kq::Rows<const Element> residual;
  kq::Rows<Element> residual_out;
  const Element* weight;
  float eps;

  KQ_HOST_DEVICE Cursor cursor(std::int64_t row, std::int64_t first) const {
    Cursor at{input.row(row).data + first, nullptr, nullptr, weight + first};
    if constexpr (HasResidual) {
      at.residual = residual.row(row).data + first;
      at.residual_out = residual_out.row(row).data + first;
    }
    return at;
  }
  KQ_HOST_DEVICE static const void* first_address(const Cursor& at) { return at.x; }

  /// All that the sum of squares needs, `offset` elements behind the lane's first vector.
  template <class Offset>
  KQ_HOST_DEVICE static void load(const Cursor& at, Offset offset, Inputs& in) {
    in.x = kq::arch::load16(at.x + offset);
    if constexpr (HasResidual) in.residual = kq::arch::load16(at.residual + offset);
  }
  template <class Offset>
  KQ_HOST_DEVICE static void load_weight(const Cursor& at, Offset offset, Inputs& in) {
    in.weight = kq::arch::load16(at.weight + offset);
  }

  KQ_HOST_DEVICE static void add(Inputs& in) {
    if constexpr (HasResidual && rounds_sum) in.x = rounded_sum(in);
  }
  template <class Offset>
  KQ_HOST_DEVICE static void store_sum(const Cursor& at, Offset offset, const Inputs& in) {
    if constexpr (HasResidual) {
      *reinterpret_cast<Vector16*>(at.residual_out + offset) = rounds_sum ? in.x : rounded_sum(in);
    }
  }

  KQ_HOST_DEVICE static double squares(const Inputs& in) {
    float z[width];
    unpack_sum(in, z);
    return kq::sum_of_squares(z);
  }
  KQ_HOST_DEVICE float reciprocal(double sum) const { return kq::reciprocal_rms(sum, input.size, eps, Form); }

  KQ_HOST_DEVICE static void values(const Inputs& in, float reciprocal, Vector16 (&y)[1]) {
    Inputs again = in;
    again.x = kq::arch::unpacked_again(in.x);
    float z[width];
    unpack_sum(again, z);
    KQ_UNROLL
    for (int quarter = 0; quarter < width / 4; ++quarter) {
      float w[4];
      kq::unpack4<Element>(in.weight, quarter, w);
      KQ_UNROLL
      for (int i = 0; i < 4; ++i) {
        w[i] = kq::normed<Element>(z[4 * quarter + i], reciprocal, w[i], Form);
      }
      kq::pack4<Element>(w, quarter, y[0]);
    }
  }

 private:
  KQ_HOST_DEVICE static Vector16 rounded_sum(const Inputs& in) {
    return kq::map_vector<Element>([](float a, float b) { return a + b; }, in.x, in.residual);
  }

  /// z of a vector.
  KQ_HOST_DEVICE static void unpack_sum(const Inputs& in, float (&z)[width]) {
    kq::unpack_vector<Element>(in.x, z);
    if constexpr (HasResidual && !rounds_sum) {
      float y[width];
      kq::unpack_vector<Element>(in.residual, y);
      KQ_UNROLL
      for (int i = 0; i < width; ++i) {
        z[i] += y[i];
      }
    }
  }
};

/// silu(gate) * up in its form, of which `in_float` gives floats: of rows, or of parts of rows (kq::may_be_cut).
template <class Element_, ProducerForm Form, bool InParts>
struct FusedSiluMul {
  using Element = Element_;
  using Value = std::conditional_t<Form == ProducerForm::in_float, float, Element_>;
  static constexpr bool is_norm = false;
  static constexpr ProducerForm form = Form;
  static constexpr int width = vector_width<Element>;
  static constexpr int resident_threads = 1024;
  static constexpr bool loads_one = false;
  static constexpr bool spreads = false;
  static constexpr bool in_parts = InParts;
  static constexpr int parts = static_cast<int>(sizeof(Value) / sizeof(Element));  ///< vectors of values for one of x

  struct Inputs {
    Vector16 gate;
    Vector16 up;
  };
  struct Cursor {
    const Element* gate;
    const Element* up;
  };

  kq::Rows<const Element> input;  ///< gate, then up
  std::int64_t size;              ///< of gate, in a row or a part
  std::int64_t row_parts;         ///< into which a row is cut

  KQ_HOST_DEVICE Cursor cursor(std::int64_t part, std::int64_t first) const {
    const std::int64_t parts_of_row = InParts ? row_parts : 1;
    const std::int64_t row = InParts ? kq::divide(part, parts_of_row) : part;
    const Element* const gate = input.row(row).data + (part - row * parts_of_row) * size + first;
    return {gate, gate + parts_of_row * size};
  }
  KQ_HOST_DEVICE static const void* first_address(const Cursor& at) { return at.gate; }

  template <class Offset>
  KQ_HOST_DEVICE static void load(const Cursor& at, Offset offset, Inputs& in) {
    in.gate = kq::arch::load16(at.gate + offset);
    in.up = kq::arch::load16(at.up + offset);
  }
  template <class Offset>
  KQ_HOST_DEVICE static void load_weight(const Cursor&, Offset, Inputs&) {}
  KQ_HOST_DEVICE static void add(Inputs&) {}
  template <class Offset>
  KQ_HOST_DEVICE static void store_sum(const Cursor&, Offset, const Inputs&) {}

  KQ_HOST_DEVICE static void values(const Inputs& in, float /*reciprocal*/, Vector16 (&y)[parts]) {
    KQ_UNROLL
    for (int quarter = 0; quarter < width / 4; ++quarter) {
      float gate[4];
      float up[4];
      kq::unpack4<Element>(in.gate, quarter, gate);
      kq::unpack4<Element>(in.up, quarter, up);
      KQ_UNROLL
      for (int i = 0; i < 4; ++i) {
        up[i] = kq::silu_times<Element>(gate[i], up[i], Form);
      }
      constexpr int quarters = width / 4 / parts;  // of a vector of values
      kq::pack4<Value>(up, quarter % quarters, y[quarter / quarters]);
    }
  }
};

/// Calls function(producer) for a request's producer, in the form that the request has, if there is a fused one. Rows
/// of silu_mul come in parts of `size` elements.
template <class Element, class Function>
void with_fused_producer(const kq::Request& r, const Operands& o, std::int64_t size, const Function& function) {
  const ProducerForm form = kq::producer_form(r);
  const kq::Rows<const Element> input{static_cast<const Element*>(o.input), kq::input_columns(r), r.input_stride};
  if (r.producer == Producer::silu_mul) {
    const auto run = [&]<ProducerForm Form>(std::integral_constant<ProducerForm, Form>) {
      const std::int64_t row_parts = r.hidden_size / size;
      if (row_parts == 1) return function(FusedSiluMul<Element, Form, false>{input, size, row_parts});
      function(FusedSiluMul<Element, Form, true>{input, size, row_parts});
    };
    if (form == ProducerForm::in_float) return run(std::integral_constant<ProducerForm, ProducerForm::in_float>());
    if (form == ProducerForm::product) return run(std::integral_constant<ProducerForm, ProducerForm::product>());
    return run(std::integral_constant<ProducerForm, ProducerForm::plain>());
  }
  if (!kq::has_norm(r.producer)) return;
  const kq::Rows<const Element> residual{static_cast<const Element*>(o.residual), r.hidden_size, r.residual_stride};
  const kq::Rows<Element> sum{static_cast<Element*>(o.residual_out), r.hidden_size, r.residual_stride};
  const auto* const weight = static_cast<const Element*>(o.weight);
  const auto run = [&]<bool HasResidual>(std::bool_constant<HasResidual>) {
    if (form == ProducerForm::twice) {
      return function(FusedNorm<Element, HasResidual, ProducerForm::twice>{input, residual, sum, weight, r.eps});
    }
    function(FusedNorm<Element, HasResidual, ProducerForm::plain>{input, residual, sum, weight, r.eps});
  };
  kq::has_residual(r.producer) ? run(std::true_type()) : run(std::false_type());
}

// --- which vectors of a row a lane has -------------------------------------------------------------------------------

/// Vectors lane, lane + lanes, lane + 2 lanes, ...: in the order in which a norm's squares are summed.
template <class Config>
struct VectorsInTurn {
  static constexpr bool in_order_of_sum = true;

  KQ_HOST_DEVICE static int first(int lane) { return lane; }
  /// From a lane's first vector to its n-th.
  KQ_HOST_DEVICE static constexpr int step(int n) { return n * Config::lanes; }
};

/// Lanes with vectors of one group, `per_group` each: group_lanes, a power of two, share a group. In it they take
/// turns, so that their loads are together.
template <class Config>
struct VectorsOfGroups {
  static constexpr bool in_order_of_sum = Config::vectors == 1;
  static constexpr int per_group = Config::vectors == 0 || Config::vectors > 4 ? 4 : Config::vectors;

  int group_lanes;

  KQ_HOST_DEVICE int first(int lane) const {
    const int within = lane & (group_lanes - 1);
    return (lane - within) * per_group + within;
  }
  KQ_HOST_DEVICE int step(int n) const {
    return n / per_group * (per_group * Config::lanes) + n % per_group * group_lanes;
  }
};

// --- a row -----------------------------------------------------------------------------------------------------------

/// What the threads of a block share: sums of squares, what they come to, and keys of the greatest values.
template <int Doubles, int Keys>
struct RowSlots {
  double sum[Doubles];
  float reciprocal;
  WaveSlots<Keys> keys;
};

/// Where the sum of vector i lies among those of a row's lanes: all lanes of a wave write, and read, in different
/// banks.
KQ_HOST_DEVICE constexpr int sum_slot(int i) {
  return i ^ ((i >> 4 & 3) << 2);
}

/// A lane's vectors of a row: all of them, in registers, or where `Config::vectors` is 0 those of a slice of the row,
/// which is read again for each thing that is done with it. Every lane of the block goes through all of this.
template <class Producer, class Vectors, class Config>
class ProducedRow {
 public:
  using Value = typename Producer::Value;
  static constexpr int width = Producer::width;
  static constexpr bool in_registers = Config::vectors > 0;
  static constexpr int held = in_registers ? Config::vectors : streamed_vectors;
  static constexpr int parts = static_cast<int>(sizeof(Value) / sizeof(typename Producer::Element));

  /// Whether weights are loaded before the sum is there. With more vectors they are loaded where they are used, from
  /// the nearest cache, in which the rows before this one have left them.
  static constexpr bool holds_weight = held <= 4;

  /// Doubles of shared memory in which the lanes put sums.
  static constexpr bool sums_change_lanes = in_registers && !Vectors::in_order_of_sum;
  static constexpr int doubles = !Producer::is_norm    ? 1
                                 : sums_change_lanes   ? Config::threads * held
                                 : Config::lanes <= 32 ? 1
                                                       : Config::threads;

  /// Of a row that has `count` vectors; lanes to spare have a row of none.
  KQ_HOST_DEVICE ProducedRow(const Producer& producer, const Vectors& vectors, std::int64_t row, int count, int lane)
      : producer_(producer),
        vectors_(vectors),
        row_(row),
        count_(count),
        lane_(lane),
        first_(vectors.first(lane)),
        at_(producer.cursor(row, std::int64_t{first_} * width)) {}

  /// Waits for the launch before this one. If registers hold the row, loads its vectors and stores their sums with a
  /// residual. Then the next launch may start.
  template <class Block>
  KQ_HOST_DEVICE void load(const Block& block) {
    block.wait_for_prerequisites(Producer::first_address(at_), count_);
    if constexpr (in_registers) {
      load_inputs();
      for_each_held([&](int n) { Producer::store_sum(at_, offset(n), inputs_[n]); });
    }
    block.launch_dependents();
  }

  /// What a norm multiplies the row's elements by. The row is loaded, if registers hold it.
  template <class Block, class Slots>
  KQ_HOST_DEVICE float reciprocal(const Block& block, Slots& slots) const {
    if constexpr (Producer::is_norm) {
      return reciprocal_of(block, slots, sum_of_lane(block, slots));
    } else {
      return 0.0f;
    }
  }

  /// Computes the values, if registers hold the row.
  KQ_HOST_DEVICE void compute(float reciprocal) {
    if constexpr (in_registers) compute_held(reciprocal);
  }

  /// function() for each slice of the row, whose values are there then. In the last pass over a row that registers do
  /// not hold, its sums with a residual are stored, which may lie where the residual does.
  template <bool IsLastPass, class Function>
  KQ_HOST_DEVICE void for_each_slice(float reciprocal, const Function& function) {
    if constexpr (in_registers) {
      function();
    } else {
      for (base_ = 0; base_ < count_; base_ += held * Config::lanes) {
        load_inputs();
        compute_held(reciprocal);
        if constexpr (IsLastPass) {
          for_each_held([&](int n) { Producer::store_sum(at_, offset(n), inputs_[n]); });
        }
        function();
      }
    }
  }

  /// Whether the lane has an n-th vector of the slice.
  KQ_HOST_DEVICE bool has(int n) const { return Config::whole || base_ + first_ + vectors_.step(n) < count_; }

  /// Its place in the row, in elements.
  KQ_HOST_DEVICE std::int64_t place(int n) const { return std::int64_t{first_} * width + offset(n); }

  /// Adds the values of vectors Begin to End - 1 to a fold.
  template <int Begin = 0, int End = held, class Fold>
  KQ_HOST_DEVICE void fold(Fold& gathered) const {
    KQ_UNROLL
    for (int n = Begin; n < End; ++n) {
      if (!has(n)) continue;
      KQ_UNROLL
      for (int part = 0; part < parts; ++part) {
        gathered.add(values_[n][part]);
      }
    }
  }

  /// Stores their codes in a row of those.
  template <int Begin = 0, int End = held, class Code, class Quantizer>
  KQ_HOST_DEVICE void store(Code* codes, const Quantizer& quantizer) const {
    Code* const mine = element_address(codes, std::int64_t{first_} * width);
    KQ_UNROLL
    for (int n = Begin; n < End; ++n) {
      if (!has(n)) continue;
      CodePack<Code, width> pack;
      kq::quantize_vector_into<0, Value>(values_[n][0], quantizer, pack);
      if constexpr (parts == 2) kq::quantize_vector_into<1, Value>(values_[n][1], quantizer, pack);
      store_codes(element_address(mine, offset(n)), true, pack);
    }
  }

 private:
  using Inputs = typename Producer::Inputs;

  /// From the lane's first vector to the n-th of the slice, in elements.
  KQ_HOST_DEVICE auto offset(int n) const {
    if constexpr (in_registers) {
      return vectors_.step(n) * width;
    } else {
      return (std::int64_t{base_} + vectors_.step(n)) * width;
    }
  }

  template <class Function>
  KQ_HOST_DEVICE void for_each_held(const Function& function) const {
    KQ_UNROLL
    for (int n = 0; n < held; ++n) {
      if (has(n)) function(n);
    }
  }

  /// Vectors that the lane does not have are zeros, so that what is computed needs no branches.
  KQ_HOST_DEVICE void load_inputs() {
    KQ_UNROLL
    for (int n = 0; n < held; ++n) {
      if constexpr (!Config::whole) inputs_[n] = {};
      if (has(n)) Producer::load(at_, offset(n), inputs_[n]);
    }
    KQ_UNROLL
    for (int n = 0; n < held; ++n) {
      Producer::add(inputs_[n]);
      if (holds_weight && has(n)) Producer::load_weight(at_, offset(n), inputs_[n]);
    }
  }

  KQ_HOST_DEVICE void compute_held(float reciprocal) {
    KQ_UNROLL
    for (int n = 0; n < held; ++n) {
      if (!holds_weight && has(n)) Producer::load_weight(at_, offset(n), inputs_[n]);
      producer_.values(inputs_[n], reciprocal, values_[n]);
    }
  }

  /// The sum of the squares of vectors lane, lane + lanes, ... of the row.
  template <class Block, class Slots>
  KQ_HOST_DEVICE double sum_of_lane(const Block& block, Slots& slots) const {
    if constexpr (!in_registers) {
      double sums[1];
      const auto at = producer_.cursor(row_, std::int64_t{lane_} * width);
      kq::sum_by_halves(
          kq::next_power_of_two((count_ + Config::lanes - 1) / Config::lanes),
          [&](std::int64_t n, double(&sum)[1]) {
            const std::int64_t i = n * Config::lanes;
            sum[0] = lane_ + i < count_ ? squares_at(at, i) : 0.0;
          },
          sums);
      return sums[0];
    } else {
      double sums[held];
      KQ_UNROLL
      for (int n = 0; n < held; ++n) {
        sums[n] = producer_.squares(inputs_[n]);
      }
      if constexpr (sums_change_lanes) {
        double* const of_row = slots.sum + (block.thread() - lane_) * held;
        KQ_UNROLL
        for (int n = 0; n < held; ++n) {
          of_row[sum_slot(first_ + vectors_.step(n))] = sums[n];
        }
        block.barrier();
        KQ_UNROLL
        for (int n = 0; n < held; ++n) {
          sums[n] = of_row[sum_slot(lane_ + n * Config::lanes)];
        }
      }
      return kq::sum_over_halves(sums);
    }
  }

  KQ_HOST_DEVICE double squares_at(const typename Producer::Cursor& at, std::int64_t vector) const {
    Inputs in;
    Producer::load(at, vector * width, in);
    Producer::add(in);
    return producer_.squares(in);
  }

  /// Of the sum over the lanes, from the highest bit of their number down. Of more lanes than a wave's the first wave
  /// adds up what all have, and tells the others.
  template <class Block, class Slots>
  KQ_HOST_DEVICE float reciprocal_of(const Block& block, Slots& slots, double sum) const {
    constexpr int wave_size = Block::wave_size;
    if constexpr (Config::lanes <= wave_size) {
      return producer_.reciprocal(sum_in_wave<Config::lanes>(block, sum));
    } else {
      static_assert(Config::lanes == Config::threads);
      // What lies in this thread's slot it has read itself.
      slots.sum[sum_slot(lane_)] = sum;
      block.barrier();
      if (lane_ < wave_size) {
        double held_sums[Config::lanes / wave_size];
        KQ_UNROLL
        for (int wave = 0; wave < Config::lanes / wave_size; ++wave) {
          held_sums[wave] = slots.sum[sum_slot(wave * wave_size + lane_)];
        }
        const double all = sum_in_wave<wave_size>(block, kq::sum_over_halves(held_sums));
        const float reciprocal = producer_.reciprocal(all);
        if (lane_ == 0) slots.reciprocal = reciprocal;
      }
      block.barrier();
      return slots.reciprocal;
    }
  }

  const Producer& producer_;
  Vectors vectors_;
  std::int64_t row_;
  int count_;
  int lane_;
  int first_;
  int base_ = 0;  ///< the slice's first vector
  typename Producer::Cursor at_;
  Inputs inputs_[held];
  Vector16 values_[held][parts];
};

}  // namespace kqbench::gpu
