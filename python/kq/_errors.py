# SPDX-License-Identifier: Apache-2.0
"""What kq raises."""


class InvalidArgument(ValueError):
    """An argument that cannot be served. `field` names it: a parameter of the function, or a part of the scheme
    ("group_size", "dialect"); `reason` says what is wrong and what to do."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason

    def __reduce__(self):
        return InvalidArgument, (self.field, self.reason)


class DeviceError(RuntimeError):
    """There is no device, or Kokkos or the device's runtime failed."""
