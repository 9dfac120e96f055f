// SPDX-License-Identifier: Apache-2.0

#include "backends/kokkos/kokkos.hpp"

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>

#include "kq/kokkos_device.hpp"
#include "kq/quantize.hpp"

namespace kqbench {
namespace {

using DeviceSpace = Kokkos::DefaultExecutionSpace;
using HostSpace = Kokkos::DefaultHostExecutionSpace;

/// The backend that Kokkos's default execution space belongs to.
constexpr std::string_view device_backend = kq::backend_of<DeviceSpace>;

std::string version() {
  return "Kokkos " + std::to_string(KOKKOS_VERSION / 10000) + '.' + std::to_string(KOKKOS_VERSION / 100 % 100) + '.' +
         std::to_string(KOKKOS_VERSION % 100);
}

/// Kokkos can be started once in a program's life, with one device and one number of threads.
void start(std::string_view backend, const DeviceOptions& options) {
  static std::optional<std::pair<int, int>> started;  // device index (-1: no device asked for), host threads
  const int device = backend == "host" ? -1 : options.index;
  if (started) {
    if (device >= 0 && started->first >= 0 && started->first != device) {
      throw DeviceError("Kokkos already works on device " + std::to_string(started->first) +
                        "; run another kqbench for device " + std::to_string(device));
    }
    return;
  }
#if KOKKOS_VERSION >= 30700
  Kokkos::InitializationSettings settings;
  settings.set_disable_warnings(true);  // of OMP_PROC_BIND, at every start: errors here are one line
  if (device >= 0) settings.set_device_id(device);
  if (options.host_threads > 0) settings.set_num_threads(options.host_threads);
#else
  Kokkos::InitArguments settings;
  settings.disable_warnings = true;
  settings.device_id = device;
  if (options.host_threads > 0) settings.num_threads = options.host_threads;
#endif
  Kokkos::initialize(settings);
  started.emplace(device, options.host_threads);
  std::atexit([] {
    if (!kq::device_is_lost()) Kokkos::finalize();
  });
}

template <class ExecutionSpace>
class KokkosImplementation final : public Implementation {
 public:
  KokkosImplementation(ExecutionSpace space, std::string description, std::optional<int> host_threads = std::nullopt)
      : space_(std::move(space)), description_(std::move(description)), host_threads_(host_threads) {}
  ~KokkosImplementation() override {
    if (kq::device_is_lost())
      static_cast<void>(new (std::nothrow) ExecutionSpace(space_));  // so that the instance never ends
  }
  KokkosImplementation(const KokkosImplementation&) = delete;
  KokkosImplementation& operator=(const KokkosImplementation&) = delete;

  std::string_view name() const override { return "kokkos"; }
  std::string description() const override { return description_; }
  std::optional<std::string> unsupported_reason(const kq::Request&) const override { return std::nullopt; }
  std::optional<int> host_threads() const override { return host_threads_; }
  std::size_t workspace_bytes(const kq::Request& request) const override {
    return kq::workspace_bytes(space_, request);
  }
  void enqueue(const kq::Request& request, const Operands& o) override { kq::enqueue(space_, request, o); }

  std::optional<std::size_t> extremes_bytes(const kq::Request& request) const override {
    if (kq::why_not_sharded(request)) return std::nullopt;
    return static_cast<std::size_t>(kq::extremes_count(request)) * sizeof(float);
  }
  void enqueue_find_extremes(const kq::Request& request, const Operands& o, float* extremes) override {
    kq::find_extremes(space_, request, o, extremes);
  }
  void enqueue_by_extremes(const kq::Request& request, const Operands& o, const float* extremes) override {
    kq::quantize_by_extremes(space_, request, o, extremes);
  }

 private:
  ExecutionSpace space_;
  std::string description_;
  std::optional<int> host_threads_;
};

}  // namespace

std::string kokkos_description(std::string_view backend) {
  if (backend == device_backend) return version() + ", " + DeviceSpace::name();
  if (backend == "host") return version() + ", " + HostSpace::name();
  return {};
}

std::optional<std::string> kokkos_missing(std::string_view backend) {
  if (backend == "host" || backend == device_backend) {
    // A Kokkos that was built for a device does not start without one, not even for the host's sake.
    if (device_backend != "host" && kq::device_count() == 0) {
      return kokkos_description(device_backend) + ", finds no device and cannot start";
    }
    return std::nullopt;
  }
  std::string device(backend);
  std::transform(device.begin(), device.end(), device.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return version() + " was built without " + device;
}

int kokkos_host_concurrency(const DeviceOptions& options) {
  start("host", options);
#if KOKKOS_VERSION >= 40000
  return HostSpace().concurrency();
#else
  return HostSpace::concurrency();
#endif
}

std::unique_ptr<Implementation> make_kokkos_implementation(std::string_view backend, const DeviceOptions& options,
                                                           [[maybe_unused]] void* native_stream) {
  if (const auto missing = kokkos_missing(backend)) throw DeviceError(*missing);
  start(backend, options);
  if constexpr (kq::has_streams<DeviceSpace>) {
    if (backend == device_backend) {
      return std::make_unique<KokkosImplementation<DeviceSpace>>(kq::space_on<DeviceSpace>(native_stream),
                                                                 kokkos_description(backend));
    }
  }
  return std::make_unique<KokkosImplementation<HostSpace>>(HostSpace(), kokkos_description(backend),
                                                           kokkos_host_concurrency(options));
}

void push_kokkos_region(const char* name) {
  if (Kokkos::is_initialized()) Kokkos::Profiling::pushRegion(name);
}

void pop_kokkos_region() {
  if (Kokkos::is_initialized()) Kokkos::Profiling::popRegion();
}

}  // namespace kqbench
