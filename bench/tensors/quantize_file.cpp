// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/quantize_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "bench/requests/sweep.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/tensors/block_quantizer.hpp"
#include "bench/tensors/quantized_file.hpp"
#include "bench/tensors/stored_numbers.hpp"
#include "bench/tensors/tensor_file.hpp"
#include "kq/dialect.hpp"
#include "kq/numerics.hpp"

namespace kqbench {
namespace {

bool is_float_matrix(const StoredTensor& tensor, const std::optional<kq::Element>& wanted) {
  const bool is_float = tensor.dtype == DType::float16 || tensor.dtype == DType::bfloat16 ||
                        tensor.dtype == DType::float32 ||
                        (tensor.dtype == DType::uint16 && wanted == kq::Element::bfloat16);
  return is_float && tensor.shape.size() == 2 && tensor.hidden_size() > 0;
}

/// What is planned for the tensors of the inputs.
class Planner {
 public:
  Planner(const QuantizeJob& job, const std::vector<TensorFile>& inputs, const Implementation& implementation)
      : job_(job), inputs_(inputs), implementation_(implementation) {}

  std::vector<PlannedTensor> plan(std::vector<SkippedTensor>& skipped) {
    for (std::size_t input = 0; input < inputs_.size(); ++input) {
      if (job_.tensor.empty()) {
        add_all(input, skipped);
      } else if (inputs_.size() == 1 || inputs_[input].find_if_there(job_.tensor) != nullptr) {
        add(input, inputs_[input].find(job_.tensor));
      }
    }
    if (plan_.empty()) {
      throw UsageError(
          fmt::format("--tensor: none of the {} inputs holds {}; see what they hold with one of them alone",
                      inputs_.size(), in_quotes(job_.tensor)));
    }
    return std::move(plan_);
  }

 private:
  void add_all(std::size_t input, std::vector<SkippedTensor>& skipped) {
    const TensorFile& file = inputs_[input];
    for (const std::string& name : file.unlisted()) {
      skipped.push_back({name, "not being named by the index"});
    }
    if (file.tensors().size() == 1) return add(input, file.tensors().front());
    refuse_codes(file);
    const std::size_t before = plan_.size();
    for (const StoredTensor& tensor : file.tensors()) {
      if (is_float_matrix(tensor, job_.element)) {
        add(input, tensor);
      } else {
        skipped.push_back({tensor.name, "not being floats in two dimensions"});
      }
    }
    if (plan_.size() != before) return;
    throw UsageError(file.name() +
                     ": holds no two-dimensional tensor of floats; choose one of another shape with --tensor");
  }

  /// Of a file that holds codes the scales would be quantized, which are floats in two dimensions too.
  static void refuse_codes(const TensorFile& file) {
    for (const StoredTensor& tensor : file.tensors()) {
      const bool int8_codes = (tensor.dtype == DType::int8 || tensor.dtype == DType::uint8) &&
                              file.find_if_there(tensor.name + ".scale") != nullptr;
      if (!is_fp8(tensor.dtype) && !int8_codes) continue;
      throw UsageError(fmt::format(
          "{}: is quantized already: {} is of {}; take the file that it was made from, or choose one of its "
          "other tensors with --tensor",
          file.name(), in_quotes(tensor.name), name_of(tensor.dtype)));
    }
  }

  void add(std::size_t input, const StoredTensor& tensor) {
    const TensorFile& file = inputs_[input];
    kq::Request request = job_.scheme;
    request.element = element_of(file, tensor, job_.element);
    request.num_tokens = tensor.num_tokens();
    request.hidden_size = tensor.hidden_size();
    request.input_stride = 0;
    request.codes_stride = 0;
    if (const auto invalid = kq::validate(request)) {
      throw UsageError(fmt::format("{}: {}", kq::option_of_field(invalid->field), invalid->reason));
    }
    request = kq::resolved(request);
    if (const auto refusal = implementation_.unsupported_reason(request)) {
      throw UsageError(fmt::format("{}: {}; choose another --impl", implementation_.name(), *refusal));
    }
    plan_.push_back({tensor, request, input, file.has_names() ? tensor.name : file.path().stem().native(), job_.names});
  }

  const QuantizeJob& job_;
  const std::vector<TensorFile>& inputs_;
  const Implementation& implementation_;
  std::vector<PlannedTensor> plan_;
};

/// How a tensor is cut: into blocks of `rows` rows, the last one perhaps of fewer, with room behind each for
/// `extra_rows`.
struct Cut {
  std::int64_t rows = 0;
  std::int64_t extra_rows = 0;
};

/// The extremes of the whole tensor or of each channel, as rows added to each block, where their scales are computed.
constexpr std::int64_t rows_of_extremes = 2;

/// Whether the scales of a block of rows depend on those rows alone.
bool has_local_scales(const kq::Request& request) {
  return request.granularity == kq::Granularity::token || kq::has_groups(request.granularity);
}

/// Blocks of rows are multiples of so many: no block of the granularity is cut, nor the padding of a scale layout.
std::int64_t row_unit(const kq::Request& whole) {
  if (!kq::has_groups(whole.granularity)) return 1;
  const bool padded = whole.scale_layout != kq::ScaleLayout::row && whole.scale_layout != kq::ScaleLayout::column;
  constexpr std::int64_t most_padding = 256;
  // More than all rows is as good as all, and cannot overflow.
  return std::min(kq::rows_per_scale(whole), whole.num_tokens) * (padded ? most_padding : 1);
}

/// Blocks whose input, and whose scales (of narrow rows they have more bytes), are `block_bytes` each, or as few rows
/// as can be.
Cut cut(const kq::Request& whole, std::size_t block_bytes) {
  kq::Request row = whole;
  row.num_tokens = 1;
  std::size_t row_bytes = kq::input_bytes(row);
  if (has_local_scales(whole)) {
    row_bytes = std::max(row_bytes, static_cast<std::size_t>(kq::num_scales(row)) * ScaleFinder::bytes_per_scale);
  }
  Cut cut;
  const std::int64_t unit = std::max<std::int64_t>(row_unit(whole), 1);
  const std::int64_t rows = static_cast<std::int64_t>(block_bytes / row_bytes) / unit * unit;
  cut.rows = std::min(std::max(rows, unit), std::max<std::int64_t>(whole.num_tokens, 1));
  const bool of_all_rows = !whole.static_scale && !has_local_scales(whole);
  if (of_all_rows && cut.rows < whole.num_tokens) cut.extra_rows = rows_of_extremes;
  return cut;
}

kq::Request largest_block(const kq::Request& whole, const Cut& cut) {
  kq::Request block = whole;
  block.num_tokens = cut.rows + cut.extra_rows;
  return block;
}

/// Refuses blocks that are too large for this machine: a row may be.
Cut cut_that_fits(const TensorFile& file, const kq::Request& whole, std::size_t block_bytes, const Device& device,
                  const Implementation& implementation) {
  const Cut found = cut(whole, std::min<std::size_t>(block_bytes, device.free_memory_bytes() / 4));
  const kq::Request block = largest_block(whole, found);
  const std::uint64_t input = kq::input_bytes(block);
  const std::uint64_t outputs = kq::codes_bytes(block) + kq::scales_bytes(block) + kq::zero_points_bytes(block);
  const std::uint64_t rows_of_error = 2 * sizeof(float) * static_cast<std::uint64_t>(block.hidden_size);
  std::uint64_t bytes = input + outputs + rows_of_error;
  if (whole.static_scale) bytes += static_cast<std::uint64_t>(kq::num_scales(block)) * ScaleFinder::bytes_per_scale;
  if (device.info().host_memory) bytes += input + outputs + implementation.workspace_bytes(block);
  require_memory(file, bytes);
  return found;
}

/// Reads a tensor in blocks of rows into a buffer with room for the extra ones.
class BlockReader {
 public:
  BlockReader(const TensorFile& file, const PlannedTensor& tensor, const Cut& cut)
      : file_(file), tensor_(tensor), cut_(cut) {
    buffer_.resize(static_cast<std::size_t>(cut.rows + cut.extra_rows) * row_bytes());
  }

  std::int64_t rows() const { return cut_.rows; }  ///< of the largest block

  /// The block that begins at row `first`.
  kq::Request read(std::int64_t first) {
    kq::Request block = tensor_.request;
    block.num_tokens = std::min(cut_.rows, tensor_.request.num_tokens - first);
    if (loaded_ != first) {
      file_.read_rows(tensor_.source, first, rows_of(0, block.num_tokens));
      loaded_ = first;
    }
    return block;
  }

  const std::byte* input() const { return buffer_.data(); }

  /// The extra rows, behind a block.
  std::span<std::byte> behind(const kq::Request& block) { return rows_of(block.num_tokens, cut_.extra_rows); }

 private:
  std::size_t row_bytes() const {
    return static_cast<std::size_t>(tensor_.request.hidden_size) * kq::element_size(tensor_.request.element);
  }
  std::span<std::byte> rows_of(std::int64_t first, std::int64_t count) {
    return std::span(buffer_).subspan(static_cast<std::size_t>(first) * row_bytes(),
                                      static_cast<std::size_t>(count) * row_bytes());
  }

  const TensorFile& file_;
  const PlannedTensor& tensor_;
  const Cut cut_;
  std::int64_t loaded_ = -1;  ///< first row of what is in the buffer
  std::vector<std::byte> buffer_;
};

/// The work on one tensor.
class TensorJob {
 public:
  TensorJob(const QuantizeJob& job, const TensorFile& file, const PlannedTensor& tensor, Device& device,
            Implementation& implementation, const std::function<bool()>& interrupted)
      : job_(job),
        request_(tensor.request),
        name_(tensor.name),
        cut_(cut_that_fits(file, request_, job.block_bytes, device, implementation)),
        reader_(file, tensor, cut_),
        interrupted_(interrupted),
        device_(device),
        implementation_(implementation) {}

  /// False if interrupted.
  bool quantize(std::size_t index, QuantizedWriter& writer, QuantizedTensor& result) {
    if (request_.num_tokens == 0) {
      result.error = kq::ErrorMeter().report();
      return true;
    }
    BlockQuantizer quantizer(device_, implementation_, largest_block(request_, cut_));
    given_ = job_.given.of(request_, name_);
    if (!look_at_data()) return false;
    kq::ErrorMeter meter;
    HostTensors outputs;
    for (std::int64_t first = 0; first < request_.num_tokens; first += reader_.rows()) {
      if (interrupted_()) return false;
      kq::Request block = reader_.read(first);
      if (global_scale_ != 0.0f) block.global_scale = global_scale_;
      run(quantizer, block, first, outputs);
      meter.add(block, reader_.input(), quantized(outputs));
      writer.write(index, block, first, outputs);
    }
    result.error = meter.report();
    result.microseconds = quantizer.microseconds();
    return true;
  }

  /// Nothing if interrupted.
  std::optional<kq::ErrorReport> read_back(std::size_t index, const QuantizedReader& written) {
    kq::ErrorMeter meter;
    for (std::int64_t first = 0; first < request_.num_tokens; first += reader_.rows()) {
      if (interrupted_()) return std::nullopt;
      const kq::Request block = reader_.read(first);
      const HostTensors outputs = written.read(index, block, first);
      meter.add(block, reader_.input(), quantized(outputs));
    }
    return meter.report();
  }

 private:
  static kq::Quantized quantized(const HostTensors& outputs) {
    const Operands o = kq::addresses(outputs);
    return {o.codes, o.scales, o.zero_points, o.global_scale};
  }

  bool is_widened() const { return cut_.extra_rows > 0; }

  /// Whether a scale of the tensor is found in its data, which each block of rows must then be told.
  bool needs_global_scale() const {
    return kq::has_global_scale(request_) && request_.global_scale == 0.0f && !given_.has_scale();
  }

  /// What the tensor's blocks are told of its scale.
  void set_global_scale() {
    const float amax = extremes_.amax();
    if (!std::isfinite(amax)) {
      throw UsageError(fmt::format(
          "{}: holds an infinity, for which its scale would be infinite; give --global-scale, or take it out",
          in_quotes(name_)));
    }
    if (request_.static_scale) {
      given_.global_scale = 1.0f / kq::nvfp4_global_scale(amax);
    } else {
      global_scale_ = kq::global_scale_of(request_, amax);
    }
  }

  /// The first pass over the tensor, where the scales of the first block depend on the last.
  bool look_at_data() {
    std::optional<ScaleFinder> finder;
    if (request_.static_scale && !has_local_scales(request_)) finder.emplace(request_, given_);
    const bool find_scales = finder && finder->needs_data();
    const bool find_amax = is_widened() || needs_global_scale();
    if (find_scales || find_amax) {
      for (std::int64_t first = 0; first < request_.num_tokens; first += reader_.rows()) {
        if (interrupted_()) return false;
        const kq::Request block = reader_.read(first);
        if (find_scales) finder->add(block, first, reader_.input());
        if (find_amax) extremes_.add(block, reader_.input());
      }
    }
    if (needs_global_scale()) set_global_scale();
    if (finder) scales_ = finder->scales();
    return true;
  }

  /// The scales of a block of rows: those of its own, or the same for all of them.
  const StaticScales& scales_for(const kq::Request& block, std::int64_t first) {
    if (has_local_scales(request_)) {
      ScaleFinder finder(block, given_.part(request_, block, first));
      if (finder.needs_data()) finder.add(block, 0, reader_.input());
      scales_ = finder.scales();
    }
    return scales_;
  }

  void run(BlockQuantizer& quantizer, const kq::Request& block, std::int64_t first, HostTensors& outputs) {
    if (request_.static_scale) {
      const StaticScales& given = scales_for(block, first);
      outputs.scales = scale_bytes(block, given.scales);
      outputs.zero_points = to_bytes(given.zero_points);
      outputs.global_scale = global_scale_bytes(block, given.global_scale);
    }
    if (!is_widened()) {
      quantizer.run(block, reader_.input(), outputs);
      return;
    }
    kq::Request widened = block;
    widened.num_tokens += cut_.extra_rows;
    extremes_.write_rows(request_, reader_.behind(block));
    quantizer.run(widened, reader_.input(), outputs);
    outputs.codes.resize(kq::codes_bytes(block));
  }

  const QuantizeJob& job_;
  const kq::Request request_;
  const std::string& name_;
  const Cut cut_;  ///< with extra rows each block gets the tensor's extremes as rows, and so the whole tensor's scale
  BlockReader reader_;
  const std::function<bool()>& interrupted_;
  Device& device_;
  Implementation& implementation_;
  GivenScale given_;
  StaticScales scales_;
  ExtremesFinder extremes_;
  float global_scale_ = 0.0f;  ///< found in a first pass, of scale format e4m3
};

}  // namespace

QuantizeResult quantize_file(const QuantizeJob& job, Device& device, Implementation& implementation,
                             const std::function<bool()>& interrupted) {
  QuantizeResult result;
  std::vector<TensorFile> inputs;
  for (const std::filesystem::path& input : job.inputs) {
    inputs.emplace_back(input);
  }
  const std::vector<PlannedTensor> plan = Planner(job, inputs, implementation).plan(result.skipped);
  for (const PlannedTensor& tensor : plan) {
    job.given.of(tensor.request, tensor.name);  // what does not fit is refused before anything is done
  }
  const QuantizedLayout layout(job.output, inputs, plan);
  for (const QuantizedLayout::Part& written : layout.files()) {
    for (const TensorFile& input : inputs) {
      refuse_to_replace(input.path(), written.path);
      for (const TensorFile::Part& part : input.parts()) {
        refuse_to_replace(part.path, written.path);
      }
    }
    for (const std::filesystem::path& file : job.given.files()) {
      refuse_to_replace(file, written.path);
    }
  }
  const bool named = inputs.size() > 1 || inputs.front().has_names() || job.output.extension() != ".npy";
  QuantizedWriter writer(layout, plan);
  for (std::size_t i = 0; i < plan.size(); ++i) {
    QuantizedTensor tensor{named ? plan[i].name : "", plan[i].source.shape, plan[i].request, {}, 0.0, std::nullopt};
    TensorJob work(job, inputs[plan[i].input], plan[i], device, implementation, interrupted);
    if (!work.quantize(i, writer, tensor)) return {{}, {}, {}, true};
    result.tensors.push_back(std::move(tensor));
  }
  writer.commit();
  for (const QuantizedLayout::Part& part : layout.files()) {
    result.files.push_back(part.path);
  }
  if (job.read_back) {
    const QuantizedReader written(layout, plan);
    for (std::size_t i = 0; i < plan.size(); ++i) {
      TensorJob work(job, inputs[plan[i].input], plan[i], device, implementation, interrupted);
      result.tensors[i].error_again = work.read_back(i, written);
      if (!result.tensors[i].error_again) {
        result.interrupted = true;
        break;
      }
    }
  }
  return result;
}

}  // namespace kqbench
