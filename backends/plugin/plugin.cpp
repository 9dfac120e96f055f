// SPDX-License-Identifier: Apache-2.0

#include "backends/plugin/plugin.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>

#include "capi/c_request.hpp"
#include "capi/versioned_struct.hpp"
#include "kq/dialect.hpp"

namespace kqbench {
namespace {

constexpr std::size_t longest_name = 40;
constexpr int most_kernels = 256;
constexpr std::int32_t version_of_producers = 4;  ///< of kq.h: a kernel that knows of none must not be asked for one
constexpr std::int32_t version_of_block_formats = 5;
constexpr std::array<std::string_view, 3> own_names{"kokkos", "native", "reference"};

/// A struct of version 1 ended with this field.
constexpr std::size_t first_size = offsetof(kq_plugin, enqueue) + sizeof(kq_plugin::enqueue);

/// The first line of a text from elsewhere, made fit for a result file.
std::string one_line(const char* text) {
  if (text == nullptr) return {};
  std::string line(text);
  line = line.substr(0, line.find('\n'));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return line;
}

void require_name(const std::string& name) {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-";
  if (name.empty() || name.size() > longest_name || name.find_first_not_of(allowed) != std::string::npos) {
    throw std::runtime_error("a kernel's name must be 1 to " + std::to_string(longest_name) +
                             " of a-z A-Z 0-9 _ . + -, not '" + name.substr(0, longest_name) + "'");
  }
  if (std::find(own_names.begin(), own_names.end(), name) != own_names.end()) {
    throw std::runtime_error("a kernel is named " + name + ", which is one of kqbench's own; name it otherwise");
  }
}

/// The kernel as this program knows it. Throws std::runtime_error.
PluginKernel described(const std::string& path, const kq_plugin* given, int index) {
  PluginKernel kernel;
  const std::string which = "kernel " + std::to_string(index);
  kernel.c = kq::c::from_caller(given, which.c_str(), first_size, "KQ_PLUGIN_INIT");
  kernel.library = path;
  kernel.name = one_line(kernel.c.name);
  require_name(kernel.name);
  kernel.description = one_line(kernel.c.description);
  kernel.backend = one_line(kernel.c.backend);
  const std::string of = "kernel " + kernel.name + ": ";
  if (find_backend(kernel.backend) == nullptr) {
    throw std::runtime_error(of + "backend must be one of " + backend_names() + ", not \"" + kernel.backend + '"');
  }
  if (kernel.c.enqueue == nullptr) throw std::runtime_error(of + "enqueue must not be NULL");
  if (kernel.c.dialect != KQ_PLUGIN_ANY_DIALECT) {
    const auto known = static_cast<std::int32_t>(kq::dialects().size());
    if (kernel.c.dialect < 0 || kernel.c.dialect >= known) {
      throw std::runtime_error(of + "dialect must be one of KQ_DIALECT_* or KQ_PLUGIN_ANY_DIALECT, not " +
                               std::to_string(kernel.c.dialect));
    }
    kernel.dialect = static_cast<kq::Dialect>(kernel.c.dialect);
  }
  if (kernel.c.waits_for_prerequisites != 0 && kernel.c.waits_for_prerequisites != 1) {
    throw std::runtime_error(of + "waits_for_prerequisites must be 0 or 1, not " +
                             std::to_string(kernel.c.waits_for_prerequisites));
  }
  const std::int32_t alignment = kernel.c.alignment;
  if (alignment < 0 || alignment > 256 || (alignment & (alignment - 1)) != 0) {
    throw std::runtime_error(of + "alignment must be a power of two up to 256, or 0, not " + std::to_string(alignment));
  }
  if (kernel.c.api_version < 1) throw std::runtime_error(of + "api_version must be set; begin with KQ_PLUGIN_INIT");
  return kernel;
}

std::string names_of(const std::vector<PluginKernel>& kernels) {
  std::string names;
  for (const PluginKernel& kernel : kernels) {
    names += (names.empty() ? "" : ", ") + kernel.name;
  }
  return names;
}

class PluginImplementation final : public Implementation {
 public:
  PluginImplementation(const PluginKernel& kernel, const Device& device, bool asks_dialect)
      : kernel_(kernel), stream_(device.stream_handle()), asks_dialect_(asks_dialect) {
    if (kernel.backend != "host") return;
    const int others = device.info().compute_units;
    threads_ = kernel.c.host_threads == nullptr ? 1 : std::max(1, kernel.c.host_threads(others));
  }

  std::string_view name() const override { return kernel_.name; }
  std::string description() const override {
    return (kernel_.description.empty() ? "" : kernel_.description + ", ") + "from " + kernel_.library;
  }

  std::optional<std::string> unsupported_reason(const kq::Request& request) const override {
    if (kernel_.dialect && *kernel_.dialect != request.dialect && !asks_dialect_) {
      return "it gives the bytes of " + std::string(kq::to_string(*kernel_.dialect)) +
             "; --dialect compares it with others";
    }
    if (request.producer != kq::Producer::none && kernel_.c.api_version < version_of_producers) {
      return "it was compiled with a kq.h that has no producers";
    }
    if ((kq::is_mx(request) || request.format == kq::Format::fp4_e2m1 || kq::is_tiled(request.scale_layout)) &&
        kernel_.c.api_version < version_of_block_formats) {
      return "it was compiled with a kq.h that has no block formats";
    }
    const kq_request c = kq::c::c_request(request);
    const char* const why = kernel_.c.why_not == nullptr ? nullptr : kernel_.c.why_not(&c);
    if (why == nullptr) return std::nullopt;
    const std::string line = one_line(why);
    return line.empty() ? "it does not say why" : line;
  }

  std::optional<std::string> why_no_overlap() const override {
    if (kernel_.c.waits_for_prerequisites == 1) return std::nullopt;
    return "it does not say that its kernels wait for the launch in front (waits_for_prerequisites in kq_plugin.h)";
  }

  std::size_t workspace_bytes(const kq::Request& request) const override {
    if (kernel_.c.workspace_bytes == nullptr || request.num_tokens == 0) return 0;
    const kq_request c = kq::c::c_request(request);
    return kernel_.c.workspace_bytes(&c);
  }

  std::size_t alignment() const override {
    return static_cast<std::size_t>(std::max<std::int32_t>(1, kernel_.c.alignment));
  }
  std::optional<int> host_threads() const override { return threads_; }

  void enqueue(const kq::Request& request, const Operands& operands) override {
    if (request.num_tokens == 0) return;
    const kq_request c = kq::c::c_request(request);
    kq_buffers buffers = KQ_BUFFERS_INIT;
    buffers.input = operands.input;
    buffers.codes = operands.codes;
    buffers.global_scale = operands.global_scale;
    buffers.scales = operands.scales;
    buffers.zero_points = operands.zero_points;
    buffers.weight = operands.weight;
    buffers.residual = operands.residual;
    buffers.residual_out = operands.residual_out;
    buffers.workspace = operands.workspace;
    buffers.workspace_bytes = workspace_bytes(request);
    if (const char* const failure = kernel_.c.enqueue(&c, &buffers, stream_)) {
      const std::string line = one_line(failure);
      throw DeviceError(kernel_.name + ": " + (line.empty() ? "it failed, and does not say how" : line));
    }
  }

 private:
  PluginKernel kernel_;
  void* stream_;
  bool asks_dialect_;
  std::optional<int> threads_;
};

}  // namespace

std::vector<PluginKernel> load_plugin(const std::string& path, const std::optional<std::string>& name) {
  // Without a slash the system's folders would be searched for it.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error("cannot be loaded: " + one_line(dlerror()));
  auto* const at = reinterpret_cast<decltype(&kq_plugin_at)>(dlsym(library, "kq_plugin_at"));
  if (at == nullptr) throw std::runtime_error("is no plug-in: it has no function kq_plugin_at (kq_plugin.h)");
  std::vector<PluginKernel> kernels;
  for (int index = 0; const kq_plugin* const given = at(index); ++index) {
    if (index == most_kernels) {
      throw std::runtime_error("kq_plugin_at gives more than " + std::to_string(most_kernels) +
                               " kernels; it must give NULL behind the last");
    }
    kernels.push_back(described(path, given, index));
  }
  if (kernels.empty()) throw std::runtime_error("has no kernels: kq_plugin_at(0) is NULL");
  if (!name) return kernels;
  const std::string there = names_of(kernels);
  std::erase_if(kernels, [&](const PluginKernel& kernel) { return kernel.name != *name; });
  if (kernels.empty()) throw std::runtime_error("has no kernel " + *name + "; it has " + there);
  return kernels;
}

std::unique_ptr<Implementation> make_plugin_implementation(const PluginKernel& kernel, const Device& device,
                                                           bool asks_dialect) {
  return std::make_unique<PluginImplementation>(kernel, device, asks_dialect);
}

}  // namespace kqbench
