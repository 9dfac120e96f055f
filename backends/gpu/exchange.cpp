// SPDX-License-Identifier: Apache-2.0

#include "backends/gpu/exchange.hpp"

#include <array>
#include <cstring>

#include "backends/gpu/library.hpp"

namespace kqbench::gpu {
namespace {

// What is used of nccl.h, which RCCL has under the same names: handles, and enumerators whose values never change.
using Communicator = void*;
using Result = int;
constexpr Result success = 0;
constexpr int float32 = 7;
constexpr int max = 2;
struct UniqueId {
  std::array<char, 128> bytes;
};

#if KQ_GPU_HIP
constexpr const char* library_name = "RCCL";
constexpr std::initializer_list<const char*> file_names = {"librccl.so.1", "librccl.so"};
#else
constexpr const char* library_name = "NCCL";
constexpr std::initializer_list<const char*> file_names = {"libnccl.so.2", "libnccl.so"};
#endif

struct Nccl {
  Nccl()
      : library(file_names),
        get_version(library.function<Result(int*)>("ncclGetVersion")),
        get_unique_id(library.function<Result(UniqueId*)>("ncclGetUniqueId")),
        init_rank(library.function<Result(Communicator*, int, UniqueId, int)>("ncclCommInitRank")),
        destroy(library.function<Result(Communicator)>("ncclCommDestroy")),
        all_reduce(
            library.function<Result(const void*, void*, std::size_t, int, int, Communicator, Stream)>("ncclAllReduce")),
        error_text(library.function<const char*(Result)>("ncclGetErrorString")) {}

  bool is_there() const {
    return get_version != nullptr && get_unique_id != nullptr && init_rank != nullptr && destroy != nullptr &&
           all_reduce != nullptr && error_text != nullptr;
  }

  void check(Result result, const std::string& what) const {
    if (result == success) return;
    throw DeviceError(std::string(library_name) + ": " + what + ": " + error_text(result) +
                      "; NCCL_DEBUG=WARN in the environment tells more");
  }

  Library library;
  Result (*get_version)(int*);
  Result (*get_unique_id)(UniqueId*);
  Result (*init_rank)(Communicator*, int, UniqueId, int);
  Result (*destroy)(Communicator);
  Result (*all_reduce)(const void*, void*, std::size_t, int, int, Communicator, Stream);
  const char* (*error_text)(Result);
};

const Nccl& nccl() {
  static const Nccl library;
  if (!library.is_there()) {
    throw DeviceError(std::string(library_name) + " is not found or lacks a function: " + *file_names.begin() +
                      " must be where the system's loader looks, as in a folder of LD_LIBRARY_PATH");
  }
  return library;
}

class NcclExchange final : public Exchange {
 public:
  NcclExchange(const UniqueId& id, int rank, int size, Stream stream) : stream_(stream) {
    nccl().check(nccl().init_rank(&communicator_, size, id, rank), "joining the other processes");
  }
  ~NcclExchange() override { static_cast<void>(nccl().destroy(communicator_)); }
  NcclExchange(const NcclExchange&) = delete;
  NcclExchange& operator=(const NcclExchange&) = delete;

  std::string description() const override {
    int version = 0;  // 22809 is 2.28.9
    nccl().check(nccl().get_version(&version), "asking for its version");
    return std::string(library_name) + ' ' + std::to_string(version / 10000) + '.' +
           std::to_string(version / 100 % 100) + '.' + std::to_string(version % 100);
  }

  void enqueue_max(float* values, std::size_t count) override {
    nccl().check(nccl().all_reduce(values, values, count, float32, max, communicator_, stream_),
                 "taking the maximum over the processes");
  }

 private:
  Stream stream_;
  Communicator communicator_ = nullptr;
};

}  // namespace

std::string make_exchange_id() {
  UniqueId id{};
  nccl().check(nccl().get_unique_id(&id), "making an id for the job");
  return {id.bytes.data(), id.bytes.size()};
}

std::unique_ptr<Exchange> join_exchange(const std::string& id, int rank, int size, Stream stream) {
  UniqueId there{};
  if (id.size() != there.bytes.size()) {
    throw DeviceError(std::string(library_name) + ": an id has " + std::to_string(there.bytes.size()) + " bytes, not " +
                      std::to_string(id.size()));
  }
  std::memcpy(there.bytes.data(), id.data(), id.size());
  return std::make_unique<NcclExchange>(there, rank, size, stream);
}

}  // namespace kqbench::gpu
