// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/tensor_file.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "backends/host/memory.hpp"
#include "bench/support/bytes_text.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/tensors/npy.hpp"
#include "bench/tensors/safetensors.hpp"

namespace kqbench {
namespace {

std::vector<std::byte> read_head(const InputFile& file, std::uint64_t length) {
  std::vector<std::byte> head(std::min(file.size(), length));
  file.read_at(0, head);
  return head;
}

std::string some_names(const std::vector<StoredTensor>& tensors) {
  constexpr std::size_t shown = 5;
  std::string names;
  for (std::size_t i = 0; i < std::min(tensors.size(), shown); ++i) {
    names += (i > 0 ? ", " : "") + in_quotes(tensors[i].name);
  }
  return tensors.size() > shown ? fmt::format("{} and {} more", names, tensors.size() - shown) : names;
}

}  // namespace

TensorFile::TensorFile(const std::filesystem::path& path) : file_(path) {
  const std::vector<std::byte> start = read_head(file_, 8);
  if (is_npy(start)) {
    tensors_.push_back(parse_npy(read_head(file_, max_npy_head), file_.size(), file_.name()));
    return;
  }
  if (path.extension() == ".npy") throw UsageError(file_.name() + ": is not a .npy file; write it with numpy.save");
  if (path.extension() != ".safetensors") {
    throw UsageError(file_.name() + ": is neither a .npy nor a .safetensors file; convert it to one of them");
  }
  has_names_ = true;
  std::vector<std::byte> header(safetensors_header_length(start, file_.size(), file_.name()));
  file_.read_at(8, header);
  tensors_ = parse_safetensors(header, file_.size(), file_.name());
  if (tensors_.empty()) throw UsageError(file_.name() + ": holds no tensor; choose another file");
}

const StoredTensor& TensorFile::find(std::string_view tensor_name) const {
  if (tensor_name.empty()) {
    if (tensors_.size() == 1) return tensors_.front();
    throw UsageError(fmt::format("{}: holds {} tensors; choose one with --tensor: {}", name(), tensors_.size(),
                                 some_names(tensors_)));
  }
  if (!has_names_) throw UsageError(name() + ": a .npy file's tensor has no name; leave --tensor out");
  for (const StoredTensor& tensor : tensors_) {
    if (tensor.name == tensor_name) return tensor;
  }
  throw UsageError(
      fmt::format("{}: holds no tensor {}; it holds {}", name(), in_quotes(tensor_name), some_names(tensors_)));
}

void TensorFile::read_rows(const StoredTensor& tensor, std::int64_t first, std::span<std::byte> rows) const {
  const std::uint64_t row_bytes = static_cast<std::uint64_t>(tensor.hidden_size()) * size_of(tensor.dtype);
  file_.read_at(tensor.offset + static_cast<std::uint64_t>(first) * row_bytes, rows);
}

kq::Element element_of(const TensorFile& file, const StoredTensor& tensor, std::optional<kq::Element> wanted) {
  const std::string what = file.has_names() ? fmt::format("{}: tensor {}", file.name(), in_quotes(tensor.name))
                                            : file.name() + ": its array";
  if (tensor.dtype != DType::other && tensor.hidden_size() == 0) {
    throw UsageError(fmt::format("{} of shape {} has no elements; choose another", what, shape_text(tensor.shape)));
  }
  if (tensor.dtype == DType::uint16) {
    if (wanted == kq::Element::bfloat16) return kq::Element::bfloat16;
    throw UsageError(what + " is of uint16; if it holds bfloat16's bits say so with --dtype bfloat16");
  }
  std::optional<kq::Element> element;
  if (tensor.dtype == DType::float16) element = kq::Element::half;
  if (tensor.dtype == DType::bfloat16) element = kq::Element::bfloat16;
  if (tensor.dtype == DType::float32) element = kq::Element::float32;
  if (!element) {
    throw UsageError(
        fmt::format("{} is of {}; only float16, bfloat16 and float32 can be quantized", what, name_of(tensor.dtype)));
  }
  if (wanted && *wanted != *element) {
    throw UsageError(fmt::format("{} is of {}, --dtype says {}; leave --dtype out", what, name_of(tensor.dtype),
                                 kq::to_string(*wanted)));
  }
  return *element;
}

void require_memory(const TensorFile& file, std::uint64_t bytes) {
  const std::uint64_t available = memory_available_bytes();
  if (bytes > available) {
    throw SystemError(fmt::format("{}: {} are needed, {} are free on this machine; take a smaller tensor", file.name(),
                                  bytes_text(bytes), bytes_text(available)));
  }
}

InputTensor load_input(const std::filesystem::path& path, std::string_view tensor_name,
                       std::optional<kq::Element> wanted) {
  const TensorFile file(path);
  const StoredTensor& tensor = file.find(tensor_name);
  InputTensor input{element_of(file, tensor, wanted), tensor.num_tokens(), tensor.hidden_size(), {}};
  require_memory(file, tensor.bytes);
  input.bytes.resize(tensor.bytes);
  file.read_rows(tensor, 0, input.bytes);
  return input;
}

}  // namespace kqbench
