// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/output_file.hpp"
#include "bench/tensors/npy.hpp"
#include "bench/tensors/quantize_file.hpp"
#include "bench/tensors/random.hpp"
#include "bench/tensors/safetensors.hpp"
#include "bench/tensors/safetensors_index.hpp"
#include "bench/tensors/tensor_file.hpp"
#include "kq/dialect.hpp"
#include "tests/bench/tensors/scratch_folder.hpp"
#include "tests/support/host_tensors.hpp"

namespace kqbench {
namespace {

constexpr std::int64_t tokens = 23;
constexpr std::int64_t width = 50;

/// The host, and the reference on it: these tests are about blocks and files, not about kernels.
class QuantizeFile : public testing::Test {
 protected:
  QuantizeFile() : device_(find_backend("host")->open({})) {
    for (const auto& implementation : device_->implementations()) {
      if (implementation->name() == "reference") reference_ = implementation.get();
    }
  }

  QuantizeResult run(const QuantizeJob& job) {
    return quantize_file(job, *device_, *reference_, [] { return false; });
  }

  std::string message_of(const QuantizeJob& job) {
    try {
      run(job);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "no error";
  }

  std::ptrdiff_t files() const {
    return std::distance(std::filesystem::directory_iterator(folder_.path()), std::filesystem::directory_iterator());
  }

  ScratchFolder folder_;
  std::unique_ptr<Device> device_;
  Implementation* reference_ = nullptr;
};

kq::Request matrix_of(kq::Element element) {
  kq::Request request;
  request.element = element;
  request.num_tokens = tokens;
  request.hidden_size = width;
  return request;
}

DType dtype_of(kq::Element element) {
  return element == kq::Element::half      ? DType::float16
         : element == kq::Element::float32 ? DType::float32
                                           : DType::uint16;
}

void write_input(const std::filesystem::path& path, const kq::Request& request, const std::vector<std::byte>& input) {
  write_npy(path, {dtype_of(request.element), {request.num_tokens, request.hidden_size}, input});
}

/// Every scheme of the table for int8 and one fp8 format, groups in every scale format and layout; every dynamic scheme
/// of every dialect.
std::vector<kq::Request> all_schemes() {
  std::vector<kq::Request> all;
  for (const kq::Scheme& scheme : kq::schemes()) {
    for (const kq::Format format : {kq::Format::int8, kq::Format::fp8_e4m3fn}) {
      kq::Request request;
      request.format = format;
      request.granularity = scheme.granularity;
      request.static_scale = scheme.static_scale;
      request.asymmetric = scheme.asymmetric;
      if (!kq::serves(scheme, format)) continue;
      if (!kq::has_groups(scheme.granularity)) {
        all.push_back(request);
        continue;
      }
      request.group_size = 16;
      request.block_rows = scheme.granularity == kq::Granularity::block ? 3 : 0;
      for (const kq::ScaleFormat scale_format :
           {kq::ScaleFormat::float32, kq::ScaleFormat::ue8m0_float32, kq::ScaleFormat::ue8m0}) {
        for (const kq::ScaleLayout layout :
             {kq::ScaleLayout::row, kq::ScaleLayout::column, kq::ScaleLayout::column_aligned, kq::ScaleLayout::packed,
              kq::ScaleLayout::swizzled_128x4, kq::ScaleLayout::swizzled_8x4, kq::ScaleLayout::shuffled_32x8}) {
          if (layout >= kq::ScaleLayout::packed && scale_format != kq::ScaleFormat::ue8m0) continue;
          request.scale_format = scale_format;
          request.scale_layout = layout;
          all.push_back(request);
        }
      }
    }
  }
  for (const kq::NamedScheme& scheme : kq::named_schemes()) {
    all.push_back(kq::with_scheme({}, scheme));
    kq::Request request = all.back();
    request.scale_layout = kq::ScaleLayout::swizzled_128x4;
    all.push_back(request);
    request.static_scale = true;
    request.scale_rounding = kq::ScaleRounding::quotient;
    all.push_back(request);
  }
  for (const kq::DialectFacts& facts : kq::dialects()) {
    for (const kq::DialectScheme& scheme : kq::dialect_schemes(facts.dialect)) {
      if (scheme.static_scale) continue;
      kq::Request request;
      request.dialect = facts.dialect;
      request.granularity = scheme.granularity;
      request.asymmetric = scheme.asymmetric;
      request.group_size = kq::has_groups(scheme.granularity) ? 16 : 0;
      request.block_rows = scheme.granularity == kq::Granularity::block ? 3 : 0;
      for (const kq::Format format : {kq::Format::fp4_e2m1, kq::Format::fp8_e4m3fn, kq::Format::int8}) {
        if (kq::has_format(scheme, format)) request.format = format;
      }
      for (const kq::ScaleFormat scale_format :
           {kq::ScaleFormat::e4m3, kq::ScaleFormat::ue8m0_float32, kq::ScaleFormat::ue8m0, kq::ScaleFormat::float32}) {
        if (kq::has_scale_format(scheme, scale_format)) request.scale_format = scale_format;
      }
      for (const kq::ScaleRounding rounding :
           {kq::ScaleRounding::four_over_six_mse_256, kq::ScaleRounding::even, kq::ScaleRounding::quotient}) {
        if (kq::has_scale_rounding(scheme, rounding)) request.scale_rounding = rounding;
      }
      all.push_back(request);
    }
  }
  return all;
}

/// A tensor without rows gives codes and scales without any, in either kind of file.
TEST_F(QuantizeFile, NoTokensGiveFilesWithoutNumbers) {
  write_npy(folder_ / "in.npy", {DType::float16, {0, width}, {}});
  for (const kq::Request& scheme : all_schemes()) {
    SCOPED_TRACE(kq::operation_name(scheme));
    for (const char* const name : {"out.npy", "out.safetensors"}) {
      QuantizeJob job;
      job.inputs = {folder_ / "in.npy"};
      job.output = folder_ / name;
      job.scheme = scheme;
      job.read_back = true;
      const QuantizeResult result = run(job);
      ASSERT_EQ(result.tensors.size(), 1u);
      EXPECT_EQ(result.tensors[0].error.elements, 0);
      EXPECT_EQ(result.tensors[0].error.rmse, 0.0);
      EXPECT_EQ(result.tensors[0].error_again, result.tensors[0].error);
    }
    const std::vector<std::int64_t> shape = {0, kq::codes_row_bytes(scheme.format, width)};
    EXPECT_EQ(read_npy(folder_ / "out.npy").shape, shape);
    const NpyArray scales = read_npy(folder_ / "out.scale.npy");  // which refuses a shape that is not its data's
    EXPECT_TRUE(scales.bytes.empty());
    const TensorFile written(folder_ / "out.safetensors");
    EXPECT_EQ(written.find("in").shape, shape);
    EXPECT_EQ(written.find("in.scale").shape, scales.shape);
  }
}

/// Among others, a tensor without rows is quantized like them; one without columns is no matrix.
TEST_F(QuantizeFile, NoTokensAmongOtherTensors) {
  std::vector<StoredTensor> stored = {{"empty", DType::float32, {0, 8}, 0, 0},
                                      {"narrow", DType::float32, {8, 0}, 0, 0},
                                      {"some", DType::float32, {1, 2}, 0, 8}};
  const std::string head = place_safetensors(stored, {});
  {
    OutputFile file(folder_ / "in.safetensors");
    const float numbers[] = {127.0f, 1.0f};
    file.write_at(0, std::as_bytes(std::span(head)));
    file.write_at(head.size(), std::as_bytes(std::span(numbers)));
    file.commit();
  }
  QuantizeJob job;
  job.inputs = {folder_ / "in.safetensors"};
  job.output = folder_ / "out.safetensors";
  job.scheme.granularity = kq::Granularity::token;
  const QuantizeResult result = run(job);
  ASSERT_EQ(result.skipped.size(), 1u);
  EXPECT_EQ(result.skipped[0].name, "narrow");
  ASSERT_EQ(result.tensors.size(), 2u);
  EXPECT_EQ(TensorFile(job.output).find("empty").shape, (std::vector<std::int64_t>{0, 8}));
  EXPECT_EQ(TensorFile(job.output).find("some.scale").bytes, 4u);
}

TEST_F(QuantizeFile, BlocksGiveTheBytesOfTheWhole) {
  for (const Fill fill : {Fill::normal, Fill::specials, Fill::nans, Fill::zeros}) {
    for (const kq::Element element : {kq::Element::half, kq::Element::bfloat16, kq::Element::float32}) {
      if (fill != Fill::specials && element != kq::Element::half) continue;  // enough, and each case waits for a disk
      const std::vector<std::byte> input = make_input(matrix_of(element), 7, fill);
      write_input(folder_ / "in.npy", matrix_of(element), input);
      for (kq::Request scheme : all_schemes()) {
        if (!kq::has_element(scheme.dialect, element)) continue;
        SCOPED_TRACE(std::string(to_string(fill)) + ", " + kq::operation_name(scheme) + " " +
                     std::string(kq::to_string(scheme.format)));
        QuantizeJob job;
        job.inputs = {folder_ / "in.npy"};
        job.output = folder_ / "out.npy";
        job.element = element;
        job.scheme = scheme;
        const float scale = scheme.scale_format == kq::ScaleFormat::float32 ? 0.017f : 0x1p-6f;
        if (scheme.static_scale) {
          GivenScale given;
          given.scale = scale;
          if (scheme.asymmetric) given.zero_point = -5;
          job.given = GivenScales(given, nullptr);
        }
        job.block_bytes = 4 * width * kq::element_size(element);  // six blocks, the last one short
        job.read_back = true;
        if (kq::has_global_scale(scheme) && !scheme.static_scale && fill == Fill::specials) {
          EXPECT_THROW(run(job), UsageError) << "an infinity";
          continue;
        }
        const QuantizeResult result = run(job);

        scheme.element = element;
        scheme.num_tokens = tokens;
        scheme.hidden_size = width;
        scheme = kq::resolved(scheme);
        const std::vector<float> values(static_cast<std::size_t>(kq::stored_scales(scheme)), scale);
        const std::vector<std::byte> scales = scale_bytes(scheme, values);
        const std::vector<std::int32_t> zero_points(values.size(), -5);
        kq::Operands given = test::given(input.data(), scales.data(), zero_points.data());
        float global_scale = 1.0f;
        given.global_scale = &global_scale;
        const HostTensors expected = reference(scheme, given);
        EXPECT_EQ(read_npy(folder_ / "out.npy").bytes, expected.codes);
        EXPECT_EQ(read_npy(folder_ / "out.scale.npy").bytes, expected.scales);
        const bool has_global_scale = kq::has_global_scale(scheme);
        ASSERT_EQ(result.files.size(), scheme.asymmetric || has_global_scale ? 3u : 2u);
        if (has_global_scale) {
          EXPECT_EQ(read_npy(folder_ / "out.global_scale.npy").bytes, expected.global_scale);
        }
        if (scheme.asymmetric) {
          const auto bytes = std::span(expected.zero_points);
          EXPECT_EQ(read_npy(folder_ / "out.zero_point.npy").bytes, std::vector(bytes.begin(), bytes.end()));
        }

        kq::ErrorMeter meter;
        const Operands o = kq::addresses(expected);
        meter.add(scheme, input.data(), {o.codes, o.scales, o.zero_points, o.global_scale});
        ASSERT_EQ(result.tensors.size(), 1u);
        EXPECT_EQ(result.tensors[0].error.elements, tokens * width);
        EXPECT_EQ(result.tensors[0].error.max_error, meter.report().max_error);
        EXPECT_EQ(result.tensors[0].error.lost, meter.report().lost);
        ASSERT_TRUE(result.tensors[0].error_again.has_value());
        EXPECT_EQ(result.tensors[0].error_again->max_error, result.tensors[0].error.max_error);
        EXPECT_EQ(result.tensors[0].error_again->rmse, result.tensors[0].error.rmse);
        EXPECT_EQ(result.tensors[0].error_again->sqnr_db, result.tensors[0].error.sqnr_db);
      }
    }
  }
}

TEST_F(QuantizeFile, StaticScalesNotGivenJustHoldTheData) {
  const kq::Request matrix = matrix_of(kq::Element::float32);
  std::vector<float> values(tokens * width, 0.5f);
  values[22 * width + 3] = -254.0f;  // the last row: the first block's scale depends on it
  std::vector<std::byte> input(values.size() * sizeof(float));
  std::memcpy(input.data(), values.data(), input.size());
  write_input(folder_ / "in.npy", matrix, input);
  QuantizeJob job;
  job.inputs = {folder_ / "in.npy"};
  job.output = folder_ / "out.npy";
  job.scheme.static_scale = true;
  job.block_bytes = 1;  // a row at a time
  const auto scales_for = [&](kq::Granularity granularity) {
    job.scheme.granularity = granularity;
    run(job);
    const NpyArray array = read_npy(folder_ / "out.scale.npy");
    std::vector<float> scales(array.bytes.size() / sizeof(float));
    std::memcpy(scales.data(), array.bytes.data(), array.bytes.size());
    return scales;
  };
  EXPECT_EQ(scales_for(kq::Granularity::tensor), std::vector<float>{2.0f});
  std::vector<float> by_token(tokens, 0.5f / 127.0f);
  by_token[22] = 2.0f;
  EXPECT_EQ(scales_for(kq::Granularity::token), by_token);
  std::vector<float> by_channel(width, 0.5f / 127.0f);
  by_channel[3] = 2.0f;
  EXPECT_EQ(scales_for(kq::Granularity::channel), by_channel);
}

/// A file with two matrices, a vector and a matrix of integers.
std::filesystem::path write_model(const ScratchFolder& folder) {
  std::vector<StoredTensor> tensors;
  tensors.push_back({"layer.0", DType::float16, {4, 6}, 0, 0});
  tensors.push_back({"layer.1", DType::float32, {3, 5}, 0, 0});
  tensors.push_back({"norm", DType::float32, {5}, 0, 0});
  tensors.push_back({"ids", DType::int32, {2, 2}, 0, 0});
  const std::string head = place_safetensors(tensors, {});
  OutputFile file(folder / "model.safetensors");
  file.write_at(0, std::as_bytes(std::span(head)));
  for (const StoredTensor& tensor : tensors) {
    file.write_at(tensor.offset, std::vector<std::byte>(tensor.bytes, std::byte{0x11}));
  }
  file.commit();
  return folder / "model.safetensors";
}

TEST_F(QuantizeFile, TakesEveryMatrixOfASafetensorsFile) {
  QuantizeJob job;
  job.inputs = {write_model(folder_)};
  job.output = folder_ / "out.safetensors";
  job.scheme.format = kq::Format::fp8_e5m2;
  job.scheme.granularity = kq::Granularity::token;
  job.read_back = true;
  const QuantizeResult result = run(job);
  ASSERT_EQ(result.tensors.size(), 2u);
  EXPECT_EQ(result.skipped.size(), 2u);
  EXPECT_EQ(result.files, std::vector<std::filesystem::path>{job.output});
  const TensorFile out(job.output);
  EXPECT_EQ(out.tensors().size(), 4u);
  EXPECT_EQ(out.find("layer.0").dtype, DType::fp8_e5m2);
  EXPECT_EQ(out.find("layer.0").shape, (std::vector<std::int64_t>{4, 6}));
  EXPECT_EQ(out.find("layer.0.scale").dtype, DType::float32);
  EXPECT_EQ(out.find("layer.0.scale").shape, (std::vector<std::int64_t>{4, 1}));
  EXPECT_EQ(out.find("layer.1").shape, (std::vector<std::int64_t>{3, 5}));
}

TEST_F(QuantizeFile, TakesOneTensorByName) {
  QuantizeJob job;
  job.inputs = {write_model(folder_)};
  job.output = folder_ / "out.safetensors";
  job.tensor = "norm";
  job.scheme.asymmetric = true;
  ASSERT_EQ(run(job).tensors.size(), 1u);
  const TensorFile out(job.output);
  EXPECT_EQ(out.tensors().size(), 3u);
  EXPECT_EQ(out.find("norm").dtype, DType::int8);
  EXPECT_EQ(out.find("norm.zero_point").dtype, DType::int32);
}

TEST_F(QuantizeFile, ANpyFilesTensorGetsItsNameInASafetensorsFile) {
  const kq::Request matrix = matrix_of(kq::Element::half);
  write_input(folder_ / "layer.0.npy", matrix, make_input(matrix, 1));
  QuantizeJob job;
  job.inputs = {folder_ / "layer.0.npy"};
  job.output = folder_ / "out.safetensors";
  job.read_back = true;
  const QuantizeResult result = run(job);
  ASSERT_EQ(result.tensors.size(), 1u);
  EXPECT_EQ(result.tensors[0].name, "layer.0");
  const TensorFile out(job.output);
  EXPECT_EQ(out.tensors().size(), 2u);
  EXPECT_EQ(out.find("layer.0").dtype, DType::int8);
  EXPECT_EQ(out.find("layer.0.scale").dtype, DType::float32);
}

TEST_F(QuantizeFile, ScalesBroadcastAgainstTheirCodes) {
  write_npy(folder_ / "in.npy", {DType::float32, {2, 3, 40}, std::vector<std::byte>(960, std::byte{0x3f})});
  QuantizeJob job;
  job.inputs = {folder_ / "in.npy"};
  job.output = folder_ / "out.npy";
  job.scheme.format = kq::Format::fp8_e4m3fn;
  const auto shape_for = [&](const auto& change) {
    job.scheme.granularity = kq::Granularity::tensor;
    change(job.scheme);
    run(job);
    EXPECT_EQ(read_npy(folder_ / "out.npy").shape, (std::vector<std::int64_t>{2, 3, 40}));
    return read_npy(folder_ / "out.scale.npy").shape;
  };
  using Shape = std::vector<std::int64_t>;
  EXPECT_EQ(shape_for([](kq::Request&) {}), (Shape{1}));
  EXPECT_EQ(shape_for([](kq::Request& r) { r.granularity = kq::Granularity::token; }), (Shape{2, 3, 1}));
  const auto group = [](kq::Request& r) {
    r.granularity = kq::Granularity::group;
    r.group_size = 16;
  };
  EXPECT_EQ(shape_for(group), (Shape{2, 3, 3}));
  EXPECT_EQ(shape_for([&](kq::Request& r) {
              group(r);
              r.scale_layout = kq::ScaleLayout::column;
            }),
            (Shape{3, 6}));
}

/// A model of two shards, one with metadata, and its index.
std::filesystem::path write_shards(const ScratchFolder& folder) {
  const auto write = [&](const char* name, std::vector<StoredTensor> tensors,
                         const std::map<std::string, std::string>& metadata) {
    const std::string head = place_safetensors(tensors, metadata);
    OutputFile file(folder / name);
    file.write_at(0, std::as_bytes(std::span(head)));
    for (const StoredTensor& tensor : tensors) {
      file.write_at(tensor.offset, std::vector<std::byte>(tensor.bytes, std::byte{0x21}));
    }
    file.commit();
  };
  write("m-1.safetensors", {{"a", DType::float16, {4, 6}, 0, 0}, {"norm", DType::float32, {5}, 0, 0}}, {{"who", "me"}});
  write("m-2.safetensors", {{"b", DType::float32, {3, 5}, 0, 0}}, {{"format", "tf"}});
  std::ofstream(folder / "m.safetensors.index.json")
      << safetensors_index_text({{"a", "m-1.safetensors"}, {"norm", "m-1.safetensors"}, {"b", "m-2.safetensors"}}, 0);
  return folder / "m.safetensors.index.json";
}

TEST_F(QuantizeFile, AModelInShardsBecomesOneAgain) {
  QuantizeJob job;
  job.inputs = {write_shards(folder_)};
  job.output = folder_ / "q.safetensors.index.json";
  job.scheme.granularity = kq::Granularity::token;
  job.read_back = true;
  const QuantizeResult result = run(job);
  ASSERT_EQ(result.tensors.size(), 2u);
  EXPECT_EQ(*result.tensors[1].error_again, result.tensors[1].error);
  EXPECT_EQ(result.files, (std::vector<std::filesystem::path>{job.output, folder_ / "q-00001-of-00002.safetensors",
                                                              folder_ / "q-00002-of-00002.safetensors"}));
  const TensorFile out(job.output);
  EXPECT_EQ(out.tensors().size(), 4u);
  EXPECT_TRUE(out.unlisted().empty());
  EXPECT_EQ(out.find("a.scale").shard, 0u);
  EXPECT_EQ(out.find("b").shape, (std::vector<std::int64_t>{3, 5}));
  std::ifstream text(job.output);
  const nlohmann::json index = nlohmann::json::parse(text);
  EXPECT_EQ(index.at("metadata").at("total_size"), 4 * 6 + 4 * 4 + 3 * 5 + 3 * 4);
}

TEST_F(QuantizeFile, AModelInShardsBecomesOneFile) {
  QuantizeJob job;
  job.inputs = {write_shards(folder_)};
  job.output = folder_ / "q.safetensors";
  run(job);
  const TensorFile out(job.output);
  EXPECT_EQ(out.tensors().size(), 4u);
  const auto& metadata = out.parts().front().metadata;
  EXPECT_EQ(metadata.at("who"), "me");
  EXPECT_EQ(metadata.at("format"), "tf") << "the input's is kept";
  EXPECT_EQ(metadata.at("kqbench.quant_dtype"), "int8");
  job.tensor = "a";
  run(job);
  EXPECT_EQ(TensorFile(job.output).parts().front().metadata.at("format"), "pt") << "what loaders ask for";
}

TEST_F(QuantizeFile, SeveralInputsGoIntoOneFileOrIntoAFolder) {
  const kq::Request matrix = matrix_of(kq::Element::half);
  write_input(folder_ / "x.npy", matrix, make_input(matrix, 1));
  QuantizeJob job;
  job.inputs = {write_shards(folder_), folder_ / "x.npy"};
  job.output = folder_ / "all.safetensors";
  EXPECT_EQ(run(job).tensors.size(), 3u);
  EXPECT_EQ(TensorFile(job.output).tensors().size(), 6u);

  std::filesystem::create_directory(folder_ / "out");
  job.output = folder_ / "out";
  job.read_back = true;
  run(job);
  EXPECT_EQ(TensorFile(folder_ / "out/m.safetensors.index.json").tensors().size(), 4u);
  EXPECT_EQ(read_npy(folder_ / "out/x.npy").dtype, DType::int8);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/x.scale.npy"));

  job.output = folder_ / "y.npy";
  EXPECT_NE(message_of(job).find("holds one tensor, not 3"), std::string::npos);
  job.output = folder_.path();
  EXPECT_NE(message_of(job).find("is the input itself"), std::string::npos) << message_of(job);
  job.inputs.push_back(folder_ / "x.npy");
  job.output = folder_ / "out";
  EXPECT_NE(message_of(job).find("would be written twice"), std::string::npos) << message_of(job);
  job.output = folder_ / "y.safetensors";
  EXPECT_NE(message_of(job).find("'x.scale' would be written twice"), std::string::npos) << message_of(job);
  job.output = folder_ / "y.safetensors.index.json";
  EXPECT_NE(message_of(job).find("'x' would be written twice"), std::string::npos) << message_of(job);
  job.tensor = "a";
  EXPECT_EQ(run(job).tensors.size(), 1u);
  job.tensor = "none";
  EXPECT_NE(message_of(job).find("none of the 3 inputs holds 'none'"), std::string::npos) << message_of(job);
}

TEST_F(QuantizeFile, CodesAreNotQuantizedAgain) {
  QuantizeJob job;
  job.inputs = {write_model(folder_)};
  job.scheme.granularity = kq::Granularity::token;
  for (const kq::Format format : {kq::Format::fp8_e4m3fn, kq::Format::fp8_e5m2fnuz, kq::Format::int8}) {
    job.inputs = {folder_ / "model.safetensors"};
    job.output = folder_ / "codes.safetensors";
    job.tensor = "";
    job.scheme.format = format;
    run(job);
    job.inputs = {job.output};
    job.output = folder_ / "again.safetensors";
    EXPECT_NE(message_of(job).find("is quantized already: 'layer."), std::string::npos) << message_of(job);
    job.tensor = "layer.0";
    const char* const says = format == kq::Format::int8 ? "only float16" : "quantized already";
    EXPECT_NE(message_of(job).find(says), std::string::npos) << message_of(job);
  }
}

TEST_F(QuantizeFile, TakesTheScalesOfAFileByBlocks) {
  const kq::Request matrix = matrix_of(kq::Element::half);
  const std::vector<std::byte> input = make_input(matrix, 1);
  write_input(folder_ / "x.npy", matrix, input);
  for (const kq::Granularity granularity :
       {kq::Granularity::tensor, kq::Granularity::token, kq::Granularity::channel}) {
    for (const bool asymmetric : {false, true}) {
      kq::Request scheme;
      scheme.static_scale = true;
      scheme.granularity = granularity;
      scheme.asymmetric = asymmetric;
      scheme.num_tokens = tokens;
      scheme.hidden_size = width;
      if (kq::validate(scheme)) continue;
      scheme = kq::resolved(scheme);
      const std::int64_t count = kq::num_scales(scheme);
      std::vector<float> scales;
      std::vector<std::int32_t> zero_points;
      for (std::int64_t i = 0; i < count; ++i) {
        scales.push_back(0.01f * static_cast<float>(i + 1));
        zero_points.push_back(static_cast<std::int32_t>(i % 7 - 3));
      }
      const auto write = [&](const char* name, DType dtype, auto numbers) {
        const auto bytes = std::as_bytes(std::span(numbers));
        write_npy(folder_ / name, {dtype, {count}, {bytes.begin(), bytes.end()}});
      };
      write("s.scale.npy", DType::float32, scales);
      write("s.zero_point.npy", DType::int32, zero_points);
      QuantizeJob job;
      job.inputs = {folder_ / "x.npy"};
      job.output = folder_ / "out.npy";
      job.scheme = scheme;
      job.given = GivenScales({}, std::make_shared<ScalesFile>(folder_ / "s.scale.npy"));
      job.block_bytes = 4 * width * 2;
      run(job);
      const HostTensors expected = reference(scheme, test::given(input.data(), scales.data(), zero_points.data()));
      EXPECT_EQ(read_npy(folder_ / "out.npy").bytes, expected.codes) << kq::operation_name(scheme);
      const auto bytes = std::as_bytes(std::span(scales));
      EXPECT_EQ(read_npy(folder_ / "out.scale.npy").bytes, std::vector(bytes.begin(), bytes.end()));
      if (asymmetric) {
        const auto points = std::as_bytes(std::span(zero_points));
        EXPECT_EQ(read_npy(folder_ / "out.zero_point.npy").bytes, std::vector(points.begin(), points.end()));
      }
    }
  }
}

TEST_F(QuantizeFile, DoesNotReplaceItsInput) {
  const kq::Request matrix = matrix_of(kq::Element::half);
  write_input(folder_ / "x.npy", matrix, make_input(matrix, 1));
  write_input(folder_ / "y.scale.npy", matrix, make_input(matrix, 1));
  std::filesystem::create_hard_link(folder_ / "x.npy", folder_ / "z.npy");
  QuantizeJob job;
  for (const auto& [input, output] : {std::pair{"x.npy", "x.npy"}, {"x.npy", "z.npy"}, {"y.scale.npy", "y.npy"}}) {
    job.inputs = {folder_ / input};
    job.output = folder_ / output;
    EXPECT_NE(message_of(job).find("is the input itself"), std::string::npos) << input << ": " << message_of(job);
    EXPECT_EQ(read_npy(folder_ / input).dtype, DType::float16);
  }
  EXPECT_EQ(files(), 3);
}

TEST_F(QuantizeFile, NamesWhatStandsInTheWayAndWritesNothing) {
  const std::filesystem::path model = write_model(folder_);
  QuantizeJob job;
  job.inputs = {model};
  job.output = folder_ / "out.npy";
  EXPECT_NE(message_of(job).find("holds one tensor, not 2"), std::string::npos) << message_of(job);
  job.output = folder_ / "out.bin";
  EXPECT_NE(message_of(job).find("ends in none of .npy, .safetensors"), std::string::npos) << message_of(job);
  job.output = folder_ / "missing/out.safetensors";
  EXPECT_NE(message_of(job).find("No such file"), std::string::npos) << message_of(job);
  job.output = folder_ / "out.safetensors";
  job.tensor = "ids";
  EXPECT_NE(message_of(job).find("of int32; only float16"), std::string::npos) << message_of(job);
  job.tensor = "layer.0";
  job.scheme.qmax = 500.0f;
  EXPECT_NE(message_of(job).find("qmax: must be"), std::string::npos) << message_of(job);
  job.scheme.qmax = 0.0f;
  EXPECT_EQ(files(), 1);
}

TEST_F(QuantizeFile, InterruptedWritesNothing) {
  const kq::Request matrix = matrix_of(kq::Element::half);
  write_input(folder_ / "in.npy", matrix, make_input(matrix, 1));
  QuantizeJob job;
  job.inputs = {folder_ / "in.npy"};
  job.output = folder_ / "out.npy";
  job.block_bytes = 1;
  int asked = 0;
  const QuantizeResult result = quantize_file(job, *device_, *reference_, [&] { return ++asked == 5; });
  EXPECT_TRUE(result.interrupted);
  EXPECT_TRUE(result.files.empty());
  EXPECT_EQ(files(), 1);
}

}  // namespace
}  // namespace kqbench
