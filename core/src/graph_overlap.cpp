// SPDX-License-Identifier: Apache-2.0

// The few functions of the CUDA driver that are used here are declared by hand, as cuda.h of version 12.3 documents
// them, and looked up when the program runs: neither the header nor the library is needed to build.

#include "kq/graph_overlap.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>

#include "kq/programmatic_launch.hpp"

namespace kq {
namespace {

using Status = int;  // CUresult
constexpr Status success = 0;

using GraphHandle = struct CudaGraph*;        // CUgraph
using NodeHandle = struct CudaNode*;          // CUgraphNode
using FunctionHandle = struct CudaFunction*;  // CUfunction
using KernelHandle = struct CudaKernel*;      // CUkernel

/// CUgraphEdgeData
struct EdgeData {
  unsigned char from_port = 0;
  unsigned char to_port = 0;
  unsigned char type = 0;
  unsigned char reserved[5] = {};
};
constexpr EdgeData programmatic_edge{1, 0, 1, {}};  // CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC, ..._TYPE_PROGRAMMATIC

/// CUDA_KERNEL_NODE_PARAMS_v2
struct KernelNode {
  FunctionHandle function;
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  void** parameters;
  void** extra;
  KernelHandle kernel;
  void* context;
};

/// CUlaunchAttributeValue
union LaunchAttribute {
  int cooperative;
  std::uint64_t bytes[8];
};

constexpr int kernel_node = 0;            // CU_GRAPH_NODE_TYPE_KERNEL
constexpr int cooperative_attribute = 2;  // CU_LAUNCH_ATTRIBUTE_COOPERATIVE
constexpr int ptx_version = 5;            // CU_FUNC_ATTRIBUTE_PTX_VERSION: 90 for compute_90

class Driver {
 public:
  Driver() {
    void* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error("the CUDA driver's library, libcuda.so.1, was not found");
    find(library, get_edges, "cuGraphGetEdges_v2");
    find(library, add_edges, "cuGraphAddDependencies_v2");
    find(library, remove_edges, "cuGraphRemoveDependencies_v2");
    find(library, node_type, "cuGraphNodeGetType");
    find(library, node_parameters, "cuGraphKernelNodeGetParams_v2");
    find(library, node_attribute, "cuGraphKernelNodeGetAttribute");
    find(library, kernel_function, "cuKernelGetFunction");
    find(library, function_name, "cuFuncGetName");
    find(library, function_attribute, "cuFuncGetAttribute");
    find(library, error_name, "cuGetErrorName");
  }

  void check(Status status, const char* what) const {
    if (status == success) return;
    const char* name = nullptr;
    if (error_name(status, &name) != success || name == nullptr) name = "unknown error";
    throw std::runtime_error(std::string("CUDA: ") + what + ": " + name);
  }

  Status (*get_edges)(GraphHandle, NodeHandle*, NodeHandle*, EdgeData*, std::size_t*);
  Status (*add_edges)(GraphHandle, const NodeHandle*, const NodeHandle*, const EdgeData*, std::size_t);
  Status (*remove_edges)(GraphHandle, const NodeHandle*, const NodeHandle*, const EdgeData*, std::size_t);
  Status (*node_type)(NodeHandle, int*);
  Status (*node_parameters)(NodeHandle, KernelNode*);
  Status (*node_attribute)(NodeHandle, int, LaunchAttribute*);
  Status (*kernel_function)(FunctionHandle*, KernelHandle);
  Status (*function_name)(const char**, FunctionHandle);
  Status (*function_attribute)(int*, int, FunctionHandle);
  Status (*error_name)(Status, const char**);

 private:
  template <class Function>
  static void find(void* library, Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(dlsym(library, name));
    if (function == nullptr) {
      throw std::runtime_error(std::string("the CUDA driver has no ") + name +
                               ", which overlapping launches in a graph needs; it must be of CUDA 12.3 or newer");
    }
  }
};

const Driver& driver() {
  static const Driver found;
  return found;
}

/// Says of nodes whether they are kernels that wait, and are launched in the ordinary way.
class WaitingKernels {
 public:
  bool contains(NodeHandle node) {
    const auto known = nodes_.find(node);
    return known != nodes_.end() ? known->second : nodes_.emplace(node, look(node)).first->second;
  }

 private:
  bool look(NodeHandle node) {
    int type = 0;
    driver().check(driver().node_type(node, &type), "asking for a node's type");
    if (type != kernel_node) return false;
    KernelNode parameters{};
    driver().check(driver().node_parameters(node, &parameters), "asking for a kernel node's parameters");
    FunctionHandle function = parameters.function;
    if (function == nullptr) {
      driver().check(driver().kernel_function(&function, parameters.kernel), "asking for a kernel's function");
    }
    const auto known = functions_.find(function);
    const bool waits = known != functions_.end() ? known->second
                                                 : functions_.emplace(function, function_waits(function)).first->second;
    if (!waits) return false;
    LaunchAttribute attribute{};
    driver().check(driver().node_attribute(node, cooperative_attribute, &attribute),
                   "asking whether a launch is cooperative");
    return attribute.cooperative == 0;
  }

  static bool function_waits(FunctionHandle function) {
    const char* name = nullptr;
    driver().check(driver().function_name(&name, function), "asking for a kernel's name");
    if (name == nullptr || std::string_view(name).find(waiting_kernel_mark) == std::string_view::npos) return false;
    int version = 0;
    driver().check(driver().function_attribute(&version, ptx_version, function),
                   "asking what a kernel is compiled for");
    return version >= 90;
  }

  std::unordered_map<NodeHandle, bool> nodes_;
  std::map<FunctionHandle, bool> functions_;
};

NodeHandle node_of(const void* node) {
  return static_cast<NodeHandle>(const_cast<void*>(node));
}

std::vector<GraphEdge> edges_of(GraphHandle graph) {
  std::size_t count = 0;
  driver().check(driver().get_edges(graph, nullptr, nullptr, nullptr, &count), "counting a graph's edges");
  std::vector<NodeHandle> from(count);
  std::vector<NodeHandle> to(count);
  std::vector<EdgeData> data(count);
  if (count > 0) {
    driver().check(driver().get_edges(graph, from.data(), to.data(), data.data(), &count),
                   "asking for a graph's edges");
  }
  std::vector<GraphEdge> edges;
  for (std::size_t i = 0; i < count; ++i) {
    edges.push_back({from[i], to[i], data[i].from_port == 0 && data[i].to_port == 0 && data[i].type == 0});
  }
  return edges;
}

}  // namespace

std::vector<std::size_t> edges_to_overlap(std::span<const GraphEdge> edges,
                                          const std::function<bool(const void*)>& waits) {
  std::unordered_map<const void*, std::size_t> out;
  std::unordered_map<const void*, std::size_t> in;
  for (const GraphEdge& edge : edges) {
    ++out[edge.from];
    ++in[edge.to];
  }
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < edges.size(); ++i) {
    const GraphEdge& edge = edges[i];
    if (edge.full && out[edge.from] == 1 && in[edge.to] == 1 && waits(edge.from) && waits(edge.to)) {
      chosen.push_back(i);
    }
  }
  return chosen;
}

std::size_t overlap_launches(void* given) {
  auto* const graph = static_cast<GraphHandle>(given);
  const std::vector<GraphEdge> edges = edges_of(graph);
  WaitingKernels kernels;
  const std::vector<std::size_t> chosen =
      edges_to_overlap(edges, [&kernels](const void* node) { return kernels.contains(node_of(node)); });
  if (chosen.empty()) return 0;
  std::vector<NodeHandle> chosen_from;
  std::vector<NodeHandle> chosen_to;
  for (const std::size_t i : chosen) {
    chosen_from.push_back(node_of(edges[i].from));
    chosen_to.push_back(node_of(edges[i].to));
  }
  const std::vector<EdgeData> before(chosen.size());
  const std::vector<EdgeData> after(chosen.size(), programmatic_edge);
  driver().check(driver().remove_edges(graph, chosen_from.data(), chosen_to.data(), before.data(), chosen.size()),
                 "taking edges out of a graph");
  driver().check(driver().add_edges(graph, chosen_from.data(), chosen_to.data(), after.data(), chosen.size()),
                 "adding programmatic edges to a graph");
  return chosen.size();
}

std::size_t programmatic_edges(void* graph) {
  try {
    driver();
  } catch (const std::runtime_error&) {
    return 0;
  }
  const std::vector<GraphEdge> edges = edges_of(static_cast<GraphHandle>(graph));
  return static_cast<std::size_t>(
      std::count_if(edges.begin(), edges.end(), [](const GraphEdge& edge) { return !edge.full; }));
}

}  // namespace kq
