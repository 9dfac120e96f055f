# SPDX-License-Identifier: Apache-2.0
# A kernel for kqbench: one scale per token, int8 from bfloat16, as vLLM's dynamic_scaled_int8_quant gives them.
import triton
import triton.language as tl

import kq


@triton.jit
def kernel(x, codes, scales, size, WIDTH: tl.constexpr):
    token = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, WIDTH)
    inside = column < size
    values = tl.load(x + token * size + column, mask=inside, other=0.0).to(tl.float32)
    amax = tl.max(tl.where(values == values, tl.abs(values), 0.0), axis=0)  # which NaN is not
    inverse = tl.where(amax == 0.0, 0.0, tl.div_rn(127.0, amax))
    code = values * inverse
    code = tl.minimum(tl.maximum(tl.where(code == code, code, 0.0), -128.0), 127.0)
    code = (code + 12582912.0) - 12582912.0  # to nearest even: 1.5 * 2^23 leaves no bits for a fraction
    tl.store(codes + token * size + column, code.to(tl.int8), mask=inside)
    tl.store(scales + token, tl.div_rn(amax, 127.0))


def mine(x, codes, scales):
    """a program for each token, which holds the row"""
    kernel[(x.shape[0],)](x, codes, scales, x.shape[1], WIDTH=triton.next_power_of_2(x.shape[1]))


if __name__ == "__main__":
    scheme = kq.Scheme("int8 token", dialect="vllm")
    if kq.backend() == "host":  # Triton's interpreter: slow, and wrong for subnormal bfloat16
        print(kq.verify(mine, scheme, dtype="float32", make="torch", shapes=[(1, 7), (3, 1023)]))
        found = kq.bench(mine, scheme, [(1, 64), (2, 64)], dtype="float32", make="torch", cache="hot", max_time=0.1)
    else:
        print(kq.verify(mine, scheme, dtype="bfloat16"))
        found = kq.bench(mine, scheme, [(64, 1024), (64, 8192)], dtype="bfloat16")
    print(found)
    found.save("mine-triton.json", kqbench="ours.json")
