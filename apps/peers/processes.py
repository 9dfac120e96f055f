# SPDX-License-Identifier: Apache-2.0
"""Each peer in a process of its own (worker.py), so that none runs in the state that another has left, and a crash costs
that peer's rows only.

The process sends JSON objects, one per line: `setting` and `device` (what it tells of its machine) or `refused` (why no
peer can be timed) or `absent` (why this one cannot); `work` and `number` when it begins with a work; `row`; `say`;
`canary`, a list of [median before, median after, launches per sample]; at last `done` with the status, or `failed`."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

from result_file import BadFile
from worker import EXIT_INTERRUPTED, EXIT_SYSTEM

COMMAND = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker.py")]
SECONDS_TO_END = 60  # after all was said


@dataclasses.dataclass
class Outcome:
    """What a peer's process gave. The rows are empty unless it came to its end."""

    status: int = 0
    rows: list = dataclasses.field(default_factory=list)
    canary: list = dataclasses.field(default_factory=list)
    setting: dict = dataclasses.field(default_factory=dict)
    is_absent: bool = False


def how_it_ended(code):
    if code >= 0:
        return f"with status {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


class Conversation:
    """Takes what a process sends."""

    def __init__(self, job, say, check_device):
        self.job, self.say, self.check_device = job, say, check_device
        self.outcome, self.work, self.done, self.failure = Outcome(), "", None, ""

    def take(self, line):
        try:
            message = json.loads(line)
        except ValueError:
            return  # cut off: the process has ended
        peer = self.job["peer"]
        if "refused" in message:
            raise BadFile(message["refused"])
        if "absent" in message:
            self.say(f"{peer} is left out: {message['absent']}")
            self.outcome.is_absent = True
        if "device" in message:
            self.check_device(message["device"])
        if "work" in message:
            self.work = message["work"]
            self.say(f"{peer}, {message['number']} of {len(self.job['works'])}: {self.work}")
        if "say" in message:
            self.say(message["say"])
        if "row" in message:
            self.outcome.rows.append(message["row"])
        for name in ("setting", "canary"):
            if name in message:
                setattr(self.outcome, name, message[name])
        self.done = message.get("done", self.done)
        self.failure = message.get("failed", self.failure)

    def end(self, code, was_interrupted):
        """What there is when the process has ended with this code."""
        outcome = self.outcome
        if outcome.is_absent:
            return outcome
        if self.done is not None:
            outcome.status = EXIT_INTERRUPTED if was_interrupted else self.done
            return outcome
        outcome.status = EXIT_INTERRUPTED if was_interrupted else EXIT_SYSTEM
        if not was_interrupted:
            where = f" at {self.work}" if self.work else ""
            how = f"it failed{where}: {self.failure}" if self.failure else f"its process ended {how_it_ended(code)}{where}"
            self.say(f"{self.job['peer']} is left out: {how}")
        outcome.rows = []  # there is no canary after them
        return outcome


def run_peer(job, say, check_device, command=None):
    """Times one peer. An interrupt ends it as soon as it is between two samples, a second one at once; the outcome says
    so. Raises BadFile where no peer can be timed."""
    conversation, interrupts = Conversation(job, say, check_device), 0
    with subprocess.Popen(command or COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          start_new_session=True) as process:
        try:
            try:
                process.stdin.write(json.dumps(job))
                process.stdin.close()
            except BrokenPipeError:
                pass  # it has ended already, which is found below
            while interrupts < 2:
                try:
                    for line in process.stdout:
                        conversation.take(line)
                        if conversation.done is not None:
                            break  # not all that it has started need end with it
                    process.wait(None if conversation.done is None else SECONDS_TO_END)
                    break
                except subprocess.TimeoutExpired:
                    break
                except KeyboardInterrupt:
                    interrupts += 1
                    process.terminate()
        finally:
            process.kill()  # does nothing where it has ended
    return conversation.end(process.returncode, interrupts > 0)
