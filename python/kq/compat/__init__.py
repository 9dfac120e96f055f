# SPDX-License-Identifier: Apache-2.0
"""Other projects' functions, on kq's kernels."""
