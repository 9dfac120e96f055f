# SPDX-License-Identifier: Apache-2.0
"""Spack's package of kqbench, for Spack 1.0 or newer. docs/clusters.md says how to use it and what of it has been tried."""

from spack.package import *
from spack_repo.builtin.build_systems.cmake import CMakePackage
from spack_repo.builtin.build_systems.cuda import CudaPackage
from spack_repo.builtin.build_systems.rocm import ROCmPackage


class Kqbench(CMakePackage, CudaPackage, ROCmPackage):
    """Times activation quantization: kernels written once in Kokkos, native ones, and the memory's own limit."""

    # The sources are those that `spack develop --path=<this tree> kqbench@main` names, or a mirror's.
    homepage = "https://kqbench.invalid"
    git = "https://kqbench.invalid/kqbench.git"

    license("Apache-2.0")

    version("main", branch="main")

    variant("openmp", default=True, description="Kokkos' OpenMP threads on the host")
    variant("mpi", default=False, description="Ranks of a job measure in step, and gather in one file")

    depends_on("cxx", type="build")
    depends_on("cmake@3.22:", type="build")
    depends_on("cli11")
    depends_on("nlohmann-json")
    depends_on("fmt")
    depends_on("mpi", when="+mpi")

    # libkq.so holds Kokkos: a static one must be position-independent.
    depends_on("kokkos@3.4: +pic")
    depends_on("kokkos+openmp", when="+openmp")
    depends_on("kokkos~openmp", when="~openmp")
    depends_on("kokkos+wrapper", when="+cuda %gcc")
    for arch in CudaPackage.cuda_arch_values:
        depends_on(f"kokkos+cuda+cuda_lambda cuda_arch={arch}", when=f"+cuda cuda_arch={arch}")
    for target in ROCmPackage.amdgpu_targets:
        depends_on(f"kokkos+rocm amdgpu_target={target}", when=f"+rocm amdgpu_target={target}")

    conflicts("+cuda", when="+rocm", msg="one build serves one vendor, and the host beside it")
    conflicts("cuda_arch=none", when="+cuda", msg="name the architecture: cuda_arch=90")
    conflicts("amdgpu_target=none", when="+rocm", msg="name the architecture: amdgpu_target=gfx942")

    def cmake_args(self):
        args = [
            self.define_from_variant("KQBENCH_CUDA", "cuda"),
            self.define_from_variant("KQBENCH_HIP", "rocm"),
            self.define_from_variant("KQBENCH_MPI", "mpi"),
            self.define("KQBENCH_TESTS", self.run_tests),
            self.define("KQ_HOST_ARCH", "baseline"),  # Spack's compiler wrapper asks for the target
        ]
        if self.spec.satisfies("+cuda"):
            args.append(self.define("CMAKE_CUDA_ARCHITECTURES", self.spec.variants["cuda_arch"].value))
        if self.spec.satisfies("+rocm"):
            args.append(self.define("CMAKE_CXX_COMPILER", self.spec["hip"].hipcc))
            args.append(self.define("KQ_HIP_ARCHITECTURES", self.spec.variants["amdgpu_target"].value))
        return args

    def test_run(self):
        """A small run on the host, every output checked."""
        kqbench = which(self.prefix.bin.kqbench)
        options = "--backend host --num-tokens 16 --hidden-size 256 --max-time 0.1 --fom"
        out = kqbench(*options.split(), output=str.split)
        check_outputs(r"^FOM .* verified=1 ", out)
