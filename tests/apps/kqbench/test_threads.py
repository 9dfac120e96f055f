# SPDX-License-Identifier: Apache-2.0
"""usage: test_threads.py KQBENCH

On one processor of several, kqbench says that one thread may run at once.
"""

import json
import os
import subprocess
import sys

RUN = "run --backend host --impl native --num-tokens 2 --hidden-size 64 --cache hot --max-time 0.001 --no-ceiling --json -"


def host_threads(program, processors):
    done = subprocess.run([program, *RUN.split()], check=True, stdout=subprocess.PIPE,
                          preexec_fn=lambda: os.sched_setaffinity(0, processors))
    return json.loads(done.stdout)["setting"]["host_threads"]


def main():
    program = sys.argv[1]
    processors = sorted(os.sched_getaffinity(0))
    for count in {1, min(2, len(processors))}:
        threads = host_threads(program, processors[:count])
        if not 1 <= threads <= count or (count == 1 and threads != 1):
            sys.exit(f"on {count} processors host_threads is {threads}")
    print("host_threads is what the affinity mask allows")


if __name__ == "__main__":
    main()
