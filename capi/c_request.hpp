// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A request as C has it: what kq.cpp's request_from() reads, written.

#include <cstdint>

#include "capi/kq.h"
#include "kq/request.hpp"

namespace kq::c {

/// Every field, as it is: nothing is filled in.
inline kq_request c_request(const Request& r) {
  kq_request c = KQ_REQUEST_INIT;
  c.element = static_cast<std::int32_t>(r.element);
  c.format = static_cast<std::int32_t>(r.format);
  c.granularity = static_cast<std::int32_t>(r.granularity);
  c.static_scale = r.static_scale ? 1 : 0;
  c.asymmetric = r.asymmetric ? 1 : 0;
  c.scale_format = static_cast<std::int32_t>(r.scale_format);
  c.scale_layout = static_cast<std::int32_t>(r.scale_layout);
  c.num_tokens = r.num_tokens;
  c.hidden_size = r.hidden_size;
  c.input_stride = r.input_stride;
  c.codes_stride = r.codes_stride;
  c.group_size = r.group_size;
  c.qmax = r.qmax;
  c.scale_ub = r.scale_ub;
  c.block_rows = r.block_rows;
  c.scale_stride = r.scale_stride;
  c.dialect = static_cast<std::int32_t>(r.dialect);
  c.producer = static_cast<std::int32_t>(r.producer);
  c.eps = r.eps;
  c.residual_stride = r.residual_stride;
  c.scale_rounding = static_cast<std::int32_t>(r.scale_rounding);
  c.global_scale = r.global_scale;
  return c;
}

}  // namespace kq::c
