// SPDX-License-Identifier: Apache-2.0

// kq._kq: libkq and its tables, as Python sees them. kq/__init__.py has the names and their documentation.

#include <nanobind/nanobind.h>

#include "calls.hpp"
#include "errors.hpp"
#include "scheme.hpp"

namespace kq::python {
namespace {

void raise(const char* type, const nanobind::object& arguments) {
  const nanobind::object errors = nanobind::module_::import_("kq._errors");
  const nanobind::object error = nanobind::steal(PyObject_CallObject(errors.attr(type).ptr(), arguments.ptr()));
  if (error.is_valid()) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
}

}  // namespace
}  // namespace kq::python

NB_MODULE(_kq, m) {
  nanobind::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const kq::python::Invalid& error) {
      kq::python::raise("InvalidArgument", nanobind::make_tuple(error.field.c_str(), error.reason.c_str()));
    } catch (const kq::python::DeviceFailure& error) {
      kq::python::raise("DeviceError", nanobind::make_tuple(error.what()));
    }
  });
  kq::python::bind_schemes(m);
  kq::python::bind_calls(m);
  kq::python::bind_stored(m);
}
