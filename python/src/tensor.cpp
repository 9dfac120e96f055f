// SPDX-License-Identifier: Apache-2.0

#include "tensor.hpp"

#include <cstddef>
#include <iterator>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "errors.hpp"

namespace kq::python {
namespace {

struct TypeFacts {
  Type type;
  dlpack::DataType dlpack;
  const char* name;
};

constexpr TypeFacts type_facts[] = {
    {Type::float16, {dlpack::floating, 16, 1}, "float16"},
    {Type::bfloat16, {dlpack::bfloat, 16, 1}, "bfloat16"},
    {Type::float32, {dlpack::floating, 32, 1}, "float32"},
    {Type::int8, {dlpack::signed_integer, 8, 1}, "int8"},
    {Type::uint8, {dlpack::unsigned_integer, 8, 1}, "uint8"},
    {Type::int32, {dlpack::signed_integer, 32, 1}, "int32"},
    {Type::float8_e4m3fn, {dlpack::float8_e4m3fn, 8, 1}, "float8_e4m3fn"},
    {Type::float8_e5m2, {dlpack::float8_e5m2, 8, 1}, "float8_e5m2"},
    {Type::float8_e4m3fnuz, {dlpack::float8_e4m3fnuz, 8, 1}, "float8_e4m3fnuz"},
    {Type::float8_e5m2fnuz, {dlpack::float8_e5m2fnuz, 8, 1}, "float8_e5m2fnuz"},
    {Type::float8_e8m0fnu, {dlpack::float8_e8m0fnu, 8, 1}, "float8_e8m0fnu"},
    {Type::float4_e2m1fn_x2, {dlpack::float4_e2m1fn, 4, 2}, "float4_e2m1fn_x2"},
};

const TypeFacts* facts_of(Type type) {
  for (const TypeFacts& facts : type_facts) {
    if (facts.type == type) return &facts;
  }
  return nullptr;
}

Type type_of(dlpack::DataType dtype) {
  for (const TypeFacts& facts : type_facts) {
    if (facts.dlpack == dtype) return facts.type;
  }
  return Type::other;
}

Type type_named(std::string_view name) {
  for (const TypeFacts& facts : type_facts) {
    if (facts.name == name) return facts.type;
  }
  return Type::other;
}

/// The type that a buffer's format names; native order only.
dlpack::DataType type_of_buffer(const Py_buffer& buffer) {
  const std::string_view text = buffer.format == nullptr ? "B" : buffer.format;
  const std::string_view code = !text.empty() && (text[0] == '@' || text[0] == '=') ? text.substr(1) : text;
  const auto bits = static_cast<std::uint8_t>(8 * buffer.itemsize);
  if (code.size() != 1) return {dlpack::opaque, bits, 1};
  if (code == "e" || code == "f" || code == "d") return {dlpack::floating, bits, 1};
  if (std::string_view("bhilq").find(code) != std::string_view::npos) return {dlpack::signed_integer, bits, 1};
  if (std::string_view("BHILQ").find(code) != std::string_view::npos) return {dlpack::unsigned_integer, bits, 1};
  return {dlpack::opaque, bits, 1};
}

/// kq/_arrays.py, which has what frameworks are asked in Python.
nb::handle arrays_module() {
  static PyObject* const module = nb::module_::import_("kq._arrays").release().ptr();
  return module;
}

const dlpack::ExchangeApi* exchange_api_of(PyObject* type) {
  static PyObject* const name = PyUnicode_InternFromString("__dlpack_c_exchange_api__");
  PyObject* const capsule = PyObject_GetAttr(type, name);
  if (capsule == nullptr) {
    PyErr_Clear();
    return nullptr;
  }
  // The table lives as long as the type's module.
  const void* const found = PyCapsule_GetPointer(capsule, "dlpack_exchange_api");
  Py_DECREF(capsule);
  if (found == nullptr) {
    PyErr_Clear();
    return nullptr;
  }
  const auto* api = static_cast<const dlpack::ExchangeApi*>(found);
  while (api != nullptr && api->version.major != 1)
    api = api->previous;
  return api;
}

/// The table of the object's type, or null. The type that was asked last is remembered, and kept.
const dlpack::ExchangeApi* find_exchange_api(nb::handle object) {
  static PyObject* last = nullptr;  // with Python's lock held
  static const dlpack::ExchangeApi* api_of_last = nullptr;
  auto* const type = reinterpret_cast<PyObject*>(Py_TYPE(object.ptr()));
  if (type == last) return api_of_last;
  const dlpack::ExchangeApi* const api = exchange_api_of(type);
  Py_INCREF(type);
  PyObject* const before = std::exchange(last, type);
  api_of_last = api;
  Py_XDECREF(before);
  return api;
}

[[noreturn]] void throw_python_error() {
  throw nb::python_error();
}

/// A framework's own message, as an error of this argument.
[[noreturn]] void throw_as_invalid(const char* field) {
  nb::python_error error;
  throw Invalid(field, std::string("cannot be read: ") + nb::str(error.value()).c_str());
}

/// JAX's arrays never change, which the capsules that it exports do not say.
bool is_jax(nb::handle object) {
  const nb::object module = nb::getattr(object.type(), "__module__", nb::none());
  return nb::isinstance<nb::str>(module) && std::string_view(nb::cast<nb::str>(module).c_str()).starts_with("jax");
}

}  // namespace

const char* name_of(Type type) {
  const TypeFacts* const facts = facts_of(type);
  return facts == nullptr ? "another type" : facts->name;
}

std::int64_t size_of(Type type) {
  const TypeFacts* const facts = facts_of(type);
  return facts == nullptr ? 0 : facts->dlpack.bits * facts->dlpack.lanes / 8;
}

// --- reading
// ----------------------------------------------------------------------------------------------------------

Tensor::Tensor(nb::handle object, const char* field, bool written) {
  if (take_exchanged(object, field, written)) return;
  if (take_buffer(object, field, written)) return;
  if (take_exported(object, field, written)) return;
  throw nb::type_error((std::string(field) + ": must be a tensor (with __dlpack__ or the buffer protocol), not " +
                        Py_TYPE(object.ptr())->tp_name)
                           .c_str());
}

void Tensor::take(const dlpack::Tensor& t, const char* field) {
  if (t.ndim > most_dimensions) {
    throw Invalid(field, "has " + std::to_string(t.ndim) + " dimensions; at most " + std::to_string(most_dimensions) +
                             " are served");
  }
  data_ = static_cast<char*>(t.data) + t.byte_offset;
  device_ = t.device;
  dtype_ = t.dtype;
  type_ = type_of(dtype_);
  ndim_ = t.ndim;
  std::int64_t consecutive = 1;
  for (int i = ndim_ - 1; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    shape_[at] = t.shape[i];
    strides_[at] = t.strides == nullptr ? consecutive : t.strides[i];
    consecutive *= t.shape[i];
  }
}

bool Tensor::take_exchanged(nb::handle object, const char* field, bool written) {
  api_ = find_exchange_api(object);
  if (api_ == nullptr) return false;
  if (api_->borrow != nullptr) {
    dlpack::Tensor tensor{};
    if (api_->borrow(object.ptr(), &tensor) != 0) throw_as_invalid(field);
    take(tensor, field);
    return true;
  }
  dlpack::VersionedTensor* exported = nullptr;
  if (api_->from_object(object.ptr(), &exported) != 0) throw_as_invalid(field);
  versioned_.reset(exported);
  if (written && (versioned_->flags & dlpack::read_only) != 0) throw Invalid(field, "is read-only");
  take(versioned_->tensor, field);
  return true;
}

bool Tensor::take_buffer(nb::handle object, const char* field, bool written) {
  if (PyObject_CheckBuffer(object.ptr()) == 0) return false;
  const int flags = PyBUF_STRIDES | PyBUF_FORMAT | (written ? PyBUF_WRITABLE : 0);
  Type named = Type::other;
  auto held = std::make_unique<Py_buffer>();
  if (PyObject_GetBuffer(object.ptr(), held.get(), flags) != 0) {
    // NumPy has no buffers of the types that ml_dtypes adds, nor writable ones of arrays that are read-only.
    PyErr_Clear();
    nb::object bits = arrays_module().attr("bits")(object);
    if (bits.is_none()) return false;
    named = type_named(nb::cast<std::string>(bits[1]));
    if (PyObject_GetBuffer(nb::object(bits[0]).ptr(), held.get(), flags) != 0) {
      PyErr_Clear();
      throw Invalid(field, "is read-only");
    }
  }
  buffer_.reset(held.release());
  const Py_buffer& buffer = *buffer_;
  if (buffer.ndim > most_dimensions) {
    throw Invalid(field, "has " + std::to_string(buffer.ndim) + " dimensions; at most " +
                             std::to_string(most_dimensions) + " are served");
  }
  data_ = buffer.buf;
  dtype_ = named == Type::other ? type_of_buffer(buffer) : facts_of(named)->dlpack;
  type_ = type_of(dtype_);
  ndim_ = buffer.ndim;
  for (int i = 0; i < ndim_; ++i) {
    const auto at = static_cast<std::size_t>(i);
    shape_[at] = buffer.shape[i];
    if (buffer.strides[i] % buffer.itemsize != 0 && buffer.shape[i] > 1) {
      throw Invalid(field, "has elements that do not lie at multiples of their size; copy it");
    }
    strides_[at] = buffer.strides[i] / buffer.itemsize;
  }
  return true;
}

bool Tensor::take_exported(nb::handle object, const char* field, bool written) {
  if (!nb::hasattr(object, "__dlpack__")) return false;
  if (written && is_jax(object)) throw Invalid(field, "is read-only, as JAX's arrays are");
  nb::object capsule;
  try {
    capsule = arrays_module().attr("export")(object);
  } catch (nb::python_error& error) {
    throw Invalid(field, std::string("cannot be read: ") + nb::str(error.value()).c_str());
  }
  // Taken over: the capsule is renamed, so that it frees nothing.
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned") != 0) {
    versioned_.reset(static_cast<dlpack::VersionedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned")));
    PyCapsule_SetName(capsule.ptr(), "used_dltensor_versioned");
    if (versioned_->version.major != 1) throw Invalid(field, "is of a version of DLPack that is not known");
    if (written && (versioned_->flags & dlpack::read_only) != 0) throw Invalid(field, "is read-only");
    take(versioned_->tensor, field);
    return true;
  }
  managed_.reset(static_cast<dlpack::ManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor")));
  if (managed_ == nullptr) throw_python_error();
  PyCapsule_SetName(capsule.ptr(), "used_dltensor");
  take(managed_->tensor, field);
  return true;
}

std::string Tensor::type_name() const {
  if (type_ != Type::other) return name_of(type_);
  constexpr const char* names[] = {"int", "uint", "float", "opaque", "bfloat", "complex", "bool"};
  if (dtype_.code >= std::size(names)) return "another type";
  return names[dtype_.code] + std::to_string(dtype_.bits);
}

std::int64_t Tensor::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t size : shape())
    product *= size;
  return product;
}

bool Tensor::is_on_host() const {
  return device_.type == dlpack::cpu || device_.type == dlpack::cuda_host || device_.type == dlpack::rocm_host;
}

void* Tensor::current_stream() const {
  if (api_ == nullptr || api_->current_stream == nullptr || is_on_host()) return nullptr;
  void* stream = nullptr;
  if (api_->current_stream(device_.type, device_.id, &stream) != 0) throw_python_error();
  return stream;
}

// --- making
// -----------------------------------------------------------------------------------------------------------

void Layout::make_consecutive() {
  stored = 1;
  for (int i = ndim - 1; i >= 0; --i) {
    strides[static_cast<std::size_t>(i)] = stored;
    stored *= shape[static_cast<std::size_t>(i)];
  }
  consecutive = true;
}

namespace {

/// A tensor of other shape and strides on memory that `inner` owns.
struct Reshaped {
  dlpack::VersionedTensor outer;
  dlpack::VersionedTensor* inner;
  Layout layout;
};

void free_reshaped(dlpack::VersionedTensor* outer) {
  auto* const all = static_cast<Reshaped*>(outer->context);
  if (all->inner->deleter != nullptr) all->inner->deleter(all->inner);
  delete all;
}

void set_python_error(void*, const char* kind, const char* message) {
  PyErr_SetString(std::string_view(kind) == "MemoryError" ? PyExc_MemoryError : PyExc_RuntimeError, message);
}

/// A tensor in front of its own memory, for a host, where a framework need not be asked for any.
struct HostTensor {
  dlpack::VersionedTensor outer;
  Layout layout;
};

constexpr std::size_t host_alignment = 64;  // as PyTorch's own tensors have it
constexpr std::size_t host_header = (sizeof(HostTensor) + host_alignment - 1) / host_alignment * host_alignment;

void free_host_tensor(dlpack::VersionedTensor* outer) {
  ::operator delete (outer->context, std::align_val_t{host_alignment});
}

dlpack::VersionedTensor* new_host_tensor(dlpack::Version version, dlpack::Device device, Type type,
                                         const Layout& layout) {
  const std::size_t bytes = static_cast<std::size_t>(layout.stored * size_of(type));
  void* const memory = ::operator new (host_header + bytes, std::align_val_t{host_alignment});
  auto* const made = new (memory) HostTensor{{}, layout};
  dlpack::VersionedTensor& outer = made->outer;
  outer.version = version;
  outer.context = memory;
  outer.deleter = free_host_tensor;
  outer.tensor.data = static_cast<std::byte*>(memory) + host_header;
  outer.tensor.device = device;
  outer.tensor.ndim = layout.ndim;
  outer.tensor.dtype = facts_of(type)->dlpack;
  outer.tensor.shape = made->layout.shape.data();
  outer.tensor.strides = made->layout.strides.data();
  return &outer;
}

/// The framework's object for a tensor, which it takes over.
nb::object object_of(const dlpack::ExchangeApi& api, dlpack::VersionedTensor* made) {
  void* object = nullptr;
  if (api.to_object(made, &object) != 0) {
    made->deleter(made);
    throw_python_error();
  }
  return nb::steal(static_cast<PyObject*>(object));
}

nb::object make_exchanged(const dlpack::ExchangeApi& api, dlpack::Device device, Type type, const Layout& layout) {
  if (device.type == dlpack::cpu) return object_of(api, new_host_tensor(api.version, device, type, layout));
  Layout shape = layout;
  dlpack::Tensor prototype{};
  prototype.device = device;
  prototype.dtype = facts_of(type)->dlpack;
  prototype.ndim = layout.consecutive ? layout.ndim : 1;
  prototype.shape = layout.consecutive ? shape.shape.data() : &shape.stored;
  dlpack::VersionedTensor* made = nullptr;
  if (api.allocate(&prototype, &made, nullptr, set_python_error) != 0) {
    if (PyErr_Occurred() == nullptr) PyErr_SetNone(PyExc_MemoryError);
    throw_python_error();
  }
  if (!layout.consecutive) {
    auto reshaped = std::make_unique<Reshaped>(Reshaped{*made, made, layout});
    dlpack::VersionedTensor& outer = reshaped->outer;
    outer.context = reshaped.get();
    outer.deleter = free_reshaped;
    outer.tensor.ndim = layout.ndim;
    outer.tensor.shape = reshaped->layout.shape.data();
    outer.tensor.strides = reshaped->layout.strides.data();
    made = &reshaped.release()->outer;
  }
  return object_of(api, made);
}

nb::object tuple_of(const std::array<std::int64_t, Tensor::most_dimensions>& numbers, int count) {
  nb::object tuple = nb::steal(PyTuple_New(count));
  if (!tuple.is_valid()) throw_python_error();
  for (int i = 0; i < count; ++i) {
    PyTuple_SET_ITEM(tuple.ptr(), i, PyLong_FromLongLong(numbers[static_cast<std::size_t>(i)]));
  }
  return tuple;
}

}  // namespace

nb::object make_tensor(nb::handle like, const Tensor& read, Type type, const Layout& layout) {
  if (read.has_exchange_api()) return make_exchanged(*read.exchange_api(), read.device(), type, layout);
  const nb::object strides = layout.consecutive ? nb::none() : tuple_of(layout.strides, layout.ndim);
  return arrays_module().attr("empty")(like, name_of(type), tuple_of(layout.shape, layout.ndim), strides,
                                       layout.stored);
}

std::int64_t room_of(nb::handle tensor) {
  return nb::cast<std::int64_t>(arrays_module().attr("room")(tensor));
}

nb::object finished(nb::handle like, const Tensor& read, nb::object made) {
  return read.has_exchange_api() ? made : arrays_module().attr("finished")(like, made);
}

}  // namespace kq::python
