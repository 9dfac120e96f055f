#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_editorconfig FILE...: names the lines that are not as .editorconfig says; status 1 if there are any.

Files that are not there, and those with a null byte, are left out. indent_size is not looked at: continued lines are aligned.
"""

import pathlib
import sys

import editorconfig


def mistakes(data, wanted):
    """(line, what is wrong) for each mistake; line 0 is the file."""
    if wanted.get("charset") == "utf-8":
        try:
            data.decode()
        except UnicodeDecodeError as error:
            yield data.count(b"\n", 0, error.start) + 1, "is not UTF-8"
    if wanted.get("insert_final_newline") == "true" and data and not data.endswith(b"\n"):
        yield data.count(b"\n") + 1, "has no newline"
    most = wanted.get("max_line_length", "off")
    for number, line in enumerate(data.split(b"\n"), 1):
        if wanted.get("end_of_line") == "lf" and b"\r" in line:
            yield number, "has a carriage return"
        if wanted.get("trim_trailing_whitespace") == "true" and line != line.rstrip(b" \t"):
            yield number, "ends with white space"
        if wanted.get("indent_style") == "space" and b"\t" in line[:len(line) - len(line.lstrip())]:
            yield number, "is indented with a tab"
        length = len(line.decode(errors="replace"))
        if most.isdigit() and length > int(most):
            yield number, f"has {length} characters; the most are {most}"


def main():
    found = 0
    for name in sys.argv[1:]:
        path = pathlib.Path(name).resolve()
        data = path.read_bytes() if path.is_file() else b""
        if b"\0" in data:
            continue
        for line, what in mistakes(data, editorconfig.get_properties(str(path))):
            print(f"{name}:{line}: {what}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
