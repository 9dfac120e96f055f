// SPDX-License-Identifier: Apache-2.0

// kq_overlap_graph on a CUDA device: which edges of a captured graph it changes, and that its replay gives what the
// calls give, each of which reads what the one before has written.

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kq.h"

namespace kqbench {
namespace {

constexpr std::int64_t tokens = 4096;
constexpr std::int64_t hidden = 1024;

/// Memory of the device, freed at the end.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t size) : size_(size) {
    EXPECT_EQ(cudaMalloc(reinterpret_cast<void**>(&data_), size * sizeof(T)), cudaSuccess);
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  std::vector<T> read() const {
    std::vector<T> values(size_);
    EXPECT_EQ(cudaMemcpy(values.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return values;
  }
  void write(const std::vector<T>& values) const {
    EXPECT_EQ(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  }
  void fill(int byte) const { EXPECT_EQ(cudaMemset(data_, byte, size_ * sizeof(T)), cudaSuccess); }

 private:
  T* data_ = nullptr;
  std::size_t size_;
};

class OverlappedGraph : public testing::Test {
 protected:
  void SetUp() override {
    int major = 0;
    if (std::string(kq_backend()) != "cuda") GTEST_SKIP() << "the library works on " << kq_backend();
    if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) != cudaSuccess) {
      cudaGetLastError();
      GTEST_SKIP() << "there is no device";
    }
    if (major < 9) GTEST_SKIP() << "programmatic launches need compute capability 9.0";
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
    ASSERT_EQ(kq_prepare_stream(stream_), KQ_SUCCESS) << kq_last_error();
  }
  void TearDown() override {
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  /// Per-token int8 of `rows` rows.
  void quantize(const float* input, std::int64_t rows, std::int64_t columns, std::int8_t* codes, float* scales) const {
    kq_request request = KQ_REQUEST_INIT;
    request.element = KQ_FLOAT32;
    request.granularity = KQ_TOKEN;
    request.num_tokens = rows;
    request.hidden_size = columns;
    kq_buffers buffers = KQ_BUFFERS_INIT;
    buffers.input = input;
    buffers.codes = codes;
    buffers.scales = scales;
    ASSERT_EQ(kq_quantize(&request, &buffers, stream_), KQ_SUCCESS) << kq_last_error();
  }

  cudaGraph_t capture(const std::function<void()>& work) const {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed), cudaSuccess);
    work();
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
    return graph;
  }

  cudaStream_t stream_ = nullptr;
};

TEST_F(OverlappedGraph, gives_what_the_calls_give) {
  constexpr std::size_t pairs = 20;
  const DeviceArray<float> x(tokens * hidden);
  const DeviceArray<std::int8_t> codes(tokens * hidden);
  const DeviceArray<float> scales(tokens);
  const DeviceArray<std::int8_t> codes_of_scales(pairs * tokens);
  const DeviceArray<float> scale_of_scales(pairs);
  std::vector<float> values(tokens * hidden);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>((i * 2654435761u) % 65537) - 32768.0f;
  }
  x.write(values);
  const auto work = [&] {
    for (std::size_t i = 0; i < pairs; ++i) {
      // Every other time the rows shifted by one, so that the scales change while the launch before reads them.
      quantize(x.data() + i % 2 * hidden, tokens - 1, hidden, codes.data(), scales.data());
      quantize(scales.data(), 1, tokens - 1, codes_of_scales.data() + i * tokens, scale_of_scales.data() + i);
    }
  };
  const auto poison = [&] {
    codes.fill(0x55);
    scales.fill(0x55);
    codes_of_scales.fill(0x55);
    scale_of_scales.fill(0x55);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  };
  poison();
  work();
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  const auto expected_codes = codes.read();
  const auto expected_scales = scales.read();
  const auto expected_codes_of_scales = codes_of_scales.read();
  const auto expected_scale_of_scales = scale_of_scales.read();

  cudaGraph_t graph = capture(work);
  std::size_t overlapped = 0;
  ASSERT_EQ(kq_overlap_graph(graph, &overlapped), KQ_SUCCESS) << kq_last_error();
  EXPECT_EQ(overlapped, 2 * pairs - 1);
  ASSERT_EQ(kq_overlap_graph(graph, &overlapped), KQ_SUCCESS) << kq_last_error();
  EXPECT_EQ(overlapped, 0u) << "edges were changed twice";
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaGraphInstantiateWithFlags(&executable, graph, 0), cudaSuccess);
  for (int replay = 0; replay < 20; ++replay) {
    poison();
    ASSERT_EQ(cudaGraphLaunch(executable, stream_), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    EXPECT_EQ(codes.read(), expected_codes);
    EXPECT_EQ(scales.read(), expected_scales);
    EXPECT_EQ(codes_of_scales.read(), expected_codes_of_scales);
    EXPECT_EQ(scale_of_scales.read(), expected_scale_of_scales);
  }
  EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
}

TEST_F(OverlappedGraph, leaves_edges_to_other_nodes) {
  const DeviceArray<float> x(2 * hidden);
  const DeviceArray<std::int8_t> codes(hidden);
  const DeviceArray<float> scales(1);
  x.fill(0);
  const auto call = [&] { quantize(x.data(), 1, hidden, codes.data(), scales.data()); };
  cudaGraph_t graph = capture([&] {
    call();
    EXPECT_EQ(cudaMemsetAsync(codes.data(), 0, hidden, stream_), cudaSuccess);
    call();
    call();
    EXPECT_EQ(cudaMemcpyAsync(x.data() + hidden, x.data(), hidden, cudaMemcpyDeviceToDevice, stream_), cudaSuccess);
    call();
  });
  std::size_t overlapped = 0;
  ASSERT_EQ(kq_overlap_graph(graph, &overlapped), KQ_SUCCESS) << kq_last_error();
  EXPECT_EQ(overlapped, 1u);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
}

TEST_F(OverlappedGraph, refuses_null) {
  EXPECT_EQ(kq_overlap_graph(nullptr, nullptr), KQ_INVALID_ARGUMENT);
  EXPECT_EQ(std::string(kq_last_error()).rfind("graph: ", 0), 0u) << kq_last_error();
}

}  // namespace
}  // namespace kqbench
