// SPDX-License-Identifier: Apache-2.0
// Quantizes a View of floats on the host to fp8, one scale per row, and shows what the first row became.
#include <Kokkos_Core.hpp>
#include <cstdio>

#include "kq/dequantize.hpp"
#include "kq/quantize.hpp"

int main(int argc, char** argv) {
  Kokkos::ScopeGuard kokkos(argc, argv);
  using Space = Kokkos::DefaultHostExecutionSpace;
  Kokkos::View<float**, Kokkos::LayoutRight, Kokkos::HostSpace> input("input", 4, 32);
  Kokkos::View<std::uint8_t**, Kokkos::LayoutRight, Kokkos::HostSpace> codes("codes", 4, 32);
  Kokkos::View<float*, Kokkos::HostSpace> scales("scales", 4);
  for (int i = 0; i < 4 * 32; ++i)
    input.data()[i] = static_cast<float>(i % 17) - 8.0f;

  kq::Request request;
  request.format = kq::Format::fp8_e4m3fn;
  request.granularity = kq::Granularity::token;
  Space space;
  kq::quantize(space, request, input, codes, scales);
  space.fence();

  request.element = kq::Element::float32;
  request.num_tokens = 4;
  request.hidden_size = 32;
  float row[32];
  kq::dequantize_row(kq::resolved(request), {codes.data(), scales.data(), nullptr}, 0, row);
  for (int i = 0; i < 8; ++i)
    std::printf("%6.2f -> 0x%02x -> %6.2f\n", input(0, i), codes(0, i), row[i]);
  return row[0] == -8.0f ? 0 : 1;
}
