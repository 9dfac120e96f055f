// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <string>
#include <utility>

namespace kq::python {

/// Becomes kq.InvalidArgument: an argument of the function that was called, or a part of a scheme, and what is wrong.
class Invalid : public std::exception {
 public:
  Invalid(std::string of, std::string why) : field(std::move(of)), reason(std::move(why)) {}
  const char* what() const noexcept override { return reason.c_str(); }

  std::string field;
  std::string reason;
};

/// Becomes kq.DeviceError.
class DeviceFailure : public std::exception {
 public:
  explicit DeviceFailure(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

}  // namespace kq::python
