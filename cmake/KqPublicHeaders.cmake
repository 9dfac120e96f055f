# SPDX-License-Identifier: Apache-2.0

# What a program may include, as docs/c.md lists it; tests/package compiles each alone and compares the two lists.
set(kq_public_headers quantize.hpp dequantize.hpp error_report.hpp graph_overlap.hpp request.hpp dialect.hpp
    parameters.hpp element.hpp)
