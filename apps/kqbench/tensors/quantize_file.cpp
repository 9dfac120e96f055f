// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/tensors/quantize_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "apps/kqbench/errors.hpp"
#include "apps/kqbench/in_quotes.hpp"
#include "apps/kqbench/sweep.hpp"
#include "apps/kqbench/tensors/block_quantizer.hpp"
#include "apps/kqbench/tensors/quantized_file.hpp"
#include "apps/kqbench/tensors/tensor_file.hpp"

namespace kqbench {
namespace {

bool is_float_matrix(const StoredTensor& tensor, const std::optional<kq::Element>& wanted) {
  const bool is_float = tensor.dtype == DType::float16 || tensor.dtype == DType::bfloat16 ||
                        tensor.dtype == DType::float32 ||
                        (tensor.dtype == DType::uint16 && wanted == kq::Element::bfloat16);
  return is_float && tensor.shape.size() == 2 && tensor.bytes > 0;
}

PlannedTensor plan_tensor(const QuantizeJob& job, const TensorFile& file, const StoredTensor& tensor,
                          const Implementation& implementation) {
  kq::Request request = job.scheme;
  request.element = element_of(file, tensor, job.element);
  request.num_tokens = tensor.num_tokens();
  request.hidden_size = tensor.hidden_size();
  request.input_stride = 0;
  request.codes_stride = 0;
  if (const auto invalid = kq::validate(request)) {
    throw UsageError(fmt::format("{}: {}", option_of_field(invalid->field), invalid->reason));
  }
  request = kq::resolved(request);
  if (const auto refusal = implementation.refusal(request)) {
    throw UsageError(fmt::format("{}: {}; choose another --impl", implementation.name(), *refusal));
  }
  return {tensor, request};
}

std::vector<PlannedTensor> make_plan(const QuantizeJob& job, const TensorFile& file,
                                     const Implementation& implementation, std::vector<std::string>& skipped) {
  std::vector<PlannedTensor> plan;
  if (!job.tensor.empty() || file.tensors().size() == 1) {
    plan.push_back(plan_tensor(job, file, file.find(job.tensor), implementation));
    return plan;
  }
  for (const StoredTensor& tensor : file.tensors()) {
    if (is_float_matrix(tensor, job.element)) {
      plan.push_back(plan_tensor(job, file, tensor, implementation));
    } else {
      skipped.push_back(tensor.name);
    }
  }
  if (plan.empty()) {
    throw UsageError(file.name() + ": holds no two-dimensional tensor of floats; choose one with --tensor");
  }
  return plan;
}

/// Reads a tensor in blocks of rows into a buffer that has room for two rows more.
class BlockReader {
 public:
  BlockReader(const TensorFile& file, const PlannedTensor& tensor, std::size_t block_bytes)
      : file_(file), tensor_(tensor) {
    const std::size_t row = row_bytes();
    require_memory(file, row * (extra_rows + 1));
    rows_ = std::clamp<std::int64_t>(static_cast<std::int64_t>(block_bytes / row), 1, tensor.request.num_tokens);
    buffer_.resize((static_cast<std::size_t>(rows_) + extra_rows) * row);
  }

  static constexpr std::int64_t extra_rows = 2;

  std::size_t row_bytes() const {
    return static_cast<std::size_t>(tensor_.request.hidden_size) * kq::element_size(tensor_.request.element);
  }
  std::int64_t rows() const { return rows_; }  ///< of the largest block
  bool one_block() const { return rows_ == tensor_.request.num_tokens; }

  /// The block that begins at row `first`.
  kq::Request read(std::int64_t first) {
    kq::Request block = tensor_.request;
    block.num_tokens = std::min(rows_, tensor_.request.num_tokens - first);
    if (loaded_ != first) {
      file_.read_rows(tensor_.source, first, rows_of(0, block.num_tokens));
      loaded_ = first;
    }
    return block;
  }

  const std::byte* input() const { return buffer_.data(); }

  /// Room for the extra rows, behind a block.
  std::span<std::byte> behind(const kq::Request& block) { return rows_of(block.num_tokens, extra_rows); }

 private:
  std::span<std::byte> rows_of(std::int64_t first, std::int64_t count) {
    return std::span(buffer_).subspan(static_cast<std::size_t>(first) * row_bytes(),
                                      static_cast<std::size_t>(count) * row_bytes());
  }

  const TensorFile& file_;
  const PlannedTensor& tensor_;
  std::int64_t rows_ = 0;
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
        reader_(file, tensor, std::min<std::size_t>(job.block_bytes, device.free_memory_bytes() / 4)),
        widened_(!request_.static_scale && request_.granularity == kq::Granularity::tensor && !reader_.one_block()),
        interrupted_(interrupted),
        quantizer_(device, implementation, largest_block()) {}

  /// False if interrupted.
  bool quantize(std::size_t index, QuantizedWriter& writer, QuantizedTensor& result) {
    if (!look_at_data()) return false;
    kq::ErrorMeter meter;
    Outputs outputs;
    for (std::int64_t first = 0; first < request_.num_tokens; first += reader_.rows()) {
      if (interrupted_()) return false;
      const kq::Request block = reader_.read(first);
      run(block, first, outputs);
      meter.add(block, reader_.input(), quantized(outputs));
      writer.write(index, block, first, outputs);
    }
    result.error = meter.report();
    result.microseconds = quantizer_.microseconds();
    return true;
  }

  /// Nothing if interrupted.
  std::optional<kq::ErrorReport> read_back(std::size_t index, const QuantizedReader& written) {
    kq::ErrorMeter meter;
    for (std::int64_t first = 0; first < request_.num_tokens; first += reader_.rows()) {
      if (interrupted_()) return std::nullopt;
      const kq::Request block = reader_.read(first);
      const Outputs outputs = written.read(index, block, first);
      meter.add(block, reader_.input(), quantized(outputs));
    }
    return meter.report();
  }

 private:
  static kq::Quantized quantized(const Outputs& outputs) {
    return {outputs.codes.data(), outputs.scales.data(), outputs.zero_points.data()};
  }

  /// With its extra rows, if it gets any.
  kq::Request largest_block() const {
    kq::Request block = request_;
    block.num_tokens = reader_.rows() + (widened_ ? BlockReader::extra_rows : 0);
    return block;
  }

  /// The first pass over the tensor, where the scales of the first block depend on the last.
  bool look_at_data() {
    std::optional<ScaleFinder> finder;
    if (request_.static_scale) finder.emplace(request_, job_.given);
    const bool find_scales = finder && finder->needs_data();
    if (find_scales || widened_) {
      for (std::int64_t first = 0; first < request_.num_tokens; first += reader_.rows()) {
        if (interrupted_()) return false;
        const kq::Request block = reader_.read(first);
        if (find_scales) finder->add(block, first, reader_.input());
        if (widened_) extremes_.add(block, reader_.input());
      }
    }
    if (finder) scales_ = finder->scales();
    return true;
  }

  void run(const kq::Request& block, std::int64_t first, Outputs& outputs) {
    if (request_.static_scale) {
      // A token's scales are cut to the block; the others are the same for all.
      const std::int64_t begin = request_.granularity == kq::Granularity::token ? first : 0;
      const auto count = static_cast<std::size_t>(kq::num_scales(block));
      const auto bytes = std::as_bytes(std::span(scales_.scales).subspan(static_cast<std::size_t>(begin), count));
      outputs.scales.assign(bytes.begin(), bytes.end());
      if (request_.asymmetric) {
        const auto points = std::span(scales_.zero_points).subspan(static_cast<std::size_t>(begin), count);
        outputs.zero_points.assign(points.begin(), points.end());
      }
    }
    if (!widened_) {
      quantizer_.run(block, reader_.input(), outputs);
      return;
    }
    kq::Request widened = block;
    widened.num_tokens += BlockReader::extra_rows;
    extremes_.write_rows(request_, reader_.behind(block));
    quantizer_.run(widened, reader_.input(), outputs);
    outputs.codes.resize(kq::codes_bytes(block));
  }

  const QuantizeJob& job_;
  const kq::Request request_;
  BlockReader reader_;
  const bool widened_;  ///< each block gets the tensor's extremes as rows of its own, and so the whole tensor's scale
  const std::function<bool()>& interrupted_;
  BlockQuantizer quantizer_;
  StaticScales scales_;
  ExtremesFinder extremes_;
};

/// A tensor is not lost for its codes.
void refuse_to_replace(const std::filesystem::path& input, const QuantizedLayout& layout) {
  for (const QuantizedLayout::Part& file : layout.files()) {
    std::error_code not_there;
    if (std::filesystem::equivalent(input, file.path, not_there)) {
      throw UsageError(in_quotes(file.path.native()) + ": is the input itself; choose another name with --output");
    }
  }
}

}  // namespace

QuantizeResult quantize_file(const QuantizeJob& job, Device& device, Implementation& implementation,
                             const std::function<bool()>& interrupted) {
  QuantizeResult result;
  const TensorFile file(job.input);
  const std::vector<PlannedTensor> plan = make_plan(job, file, implementation, result.skipped);
  const QuantizedLayout layout(job.output, plan);
  refuse_to_replace(job.input, layout);
  QuantizedWriter writer(layout, plan);
  for (std::size_t i = 0; i < plan.size(); ++i) {
    QuantizedTensor tensor{plan[i].source.name, plan[i].source.shape, plan[i].request, {}, 0.0, std::nullopt};
    TensorJob work(job, file, plan[i], device, implementation, interrupted);
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
      TensorJob work(job, file, plan[i], device, implementation, interrupted);
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
