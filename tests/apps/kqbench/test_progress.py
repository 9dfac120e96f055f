# SPDX-License-Identifier: Apache-2.0
"""The progress bar: on a terminal, for a sweep of several steps, and taken away at the end; otherwise not a byte of it. And
the colours of a table: on a terminal that has them.

usage: test_progress.py KQBENCH

Needs Python alone.
"""

import os
import pty
import subprocess
import sys
import tempfile
import unittest

COMMAND = "--backend host --hidden-size 64 --cache hot --max-time 0.001 --num-iters 20 --no-ceiling".split()
ERASE = "\r\x1b[K"  # the line


def errors_on_terminal(*arguments, command=COMMAND, stream="stderr", term="xterm", **environment):
    """What kqbench writes to a terminal that is its stderr (or stdout) alone."""
    ours, theirs = pty.openpty()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: theirs}
    unset = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen([KQBENCH, *command, *arguments], env=dict(unset, TERM=term, **environment), **streams)
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 4096):
            text += part
    except OSError:  # Linux's way to say that nobody writes any more
        pass
    os.close(ours)
    assert process.wait() == 0, text
    return text.decode()


class Progress(unittest.TestCase):
    def test_a_sweep_has_a_bar_that_is_gone_in_the_end(self):
        text = errors_on_terminal("--num-tokens", "1,2,3", "--rounds", "1")
        self.assertIn("[########................] 2/3 dynamic token int8 from half, 2 x 64", text)
        self.assertEqual([text.count(f" {step}/3 ") for step in (1, 2, 3)], [1, 1, 1])
        self.assertTrue(text.endswith(ERASE))

    def test_each_request_is_a_step_in_each_round(self):
        text = errors_on_terminal("--num-tokens", "1,2,3", "--rounds", "2")
        self.assertEqual([text.count(f" {step}/6 ") for step in range(1, 7)], [1] * 6)

    def test_one_step_has_none(self):
        self.assertEqual(errors_on_terminal("--num-tokens", "1"), "")

    def test_whoever_does_not_want_it_has_none(self):
        for option in ("--no-progress", "--quiet"):
            self.assertEqual(errors_on_terminal("--num-tokens", "1,2,3", option), "")

    def test_a_terminal_that_cannot_write_a_line_over_has_none(self):
        self.assertEqual(errors_on_terminal("--num-tokens", "1,2,3", term="dumb"), "")

    def test_colours_are_for_terminals_that_have_them(self):
        self.assertIn("\x1b[", errors_on_terminal("--num-tokens", "1", stream="stdout"))
        self.assertNotIn("\x1b", errors_on_terminal("--num-tokens", "1", stream="stdout", term="dumb"))
        self.assertNotIn("\x1b", errors_on_terminal("--num-tokens", "1", stream="stdout", NO_COLOR="1"))

    def test_colours_of_a_comparison_too(self):
        with tempfile.TemporaryDirectory() as folder:
            result = f"{folder}/result.json"
            subprocess.run([KQBENCH, *COMMAND, "--num-tokens", "1", "--quiet", "--json", result], check=True)

            def text(**how):
                return errors_on_terminal(result, command=["compare", result], stream="stdout", **how)

            self.assertIn("\x1b[", text())
            self.assertNotIn("\x1b", text(term="dumb"))
            self.assertNotIn("\x1b", text(NO_COLOR="1"))

    def test_a_pipe_has_none(self):
        done = subprocess.run([KQBENCH, *COMMAND, "--num-tokens", "1,2,3"], capture_output=True, check=True)
        self.assertEqual(done.stderr, b"")


if __name__ == "__main__":
    KQBENCH = sys.argv[1]
    unittest.main(argv=sys.argv[:1])
