# SPDX-License-Identifier: Apache-2.0
"""The page of `kqbench report` in a real browser: it says nothing on its console, shows every chart, loads nothing.

usage: test_report_in_browser.py KQBENCH RESULT.json

Exit status 77 (skipped) without Chromium or gnuplot.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PAGES = 5  # of the recorded file, printed
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def browse(page, *arguments):
    """What the browser wrote: (standard output, messages of the page's console)."""
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                               "--enable-logging=stderr", f"--user-data-dir={profile}", *arguments, page.as_uri()],
                              capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, re.findall(r"^.*:CONSOLE[(:].*$", done.stderr, re.MULTILINE)


def main():
    if not CHROMIUM or not shutil.which("gnuplot"):
        print("skipped: Chromium and gnuplot are needed")
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        page, printed, shot = folder / "report.html", folder / "report.pdf", folder / "report.png"
        subprocess.run([sys.argv[1], "report", sys.argv[2], "--ignore-canary", "-o", page], check=True)
        charts = page.read_text().count("<figure")
        assert charts >= 3, charts

        # What a browser may be told to load; a chart's own references (#...) stay in the page.
        elsewhere = re.findall(r"""(?:src|href)\s*=\s*['"](?!#|data:)|url\(|@import""", page.read_text())
        assert not elsewhere, elsewhere

        dom, console = browse(page, "--dump-dom")
        assert not console, console
        assert dom.count("<svg") == charts and dom.count("</svg>") == charts

        _, console = browse(page, f"--print-to-pdf={printed}")
        assert not console and printed.stat().st_size > 10000
        # On paper, charts are in pairs: the recorded file's seven and its rows filled eight pages one by one.
        pages = len(re.findall(rb"/Type */Page\b(?!s)", printed.read_bytes()))
        assert 1 <= pages <= PAGES, pages
        _, console = browse(page, "--window-size=1400,1800", f"--screenshot={shot}")
        assert not console and shot.stat().st_size > 20000

        # Numbers under the pointer, and what a reader can choose to see: counted by a script that this test adds.
        text = page.read_text()
        assert any(" µs ± " in shown for shown in re.findall(r"<title>(.*?)</title>", text))
        assert "<form" in text
        count = ("<script>document.title = 'rows: ' + [...document.querySelectorAll('tbody tr')]"
                 ".filter(row => row.offsetParent).length;</script></body>")
        shown = {}
        for box in ("", "s0", "s1"):
            chosen = text.replace("<meta http-equiv=", "<meta data-none=").replace("<details", "<details open")
            chosen = chosen.replace(f'id="{box}">', f'id="{box}" checked>').replace("</body>", count)
            page.write_text(chosen)
            dom, _ = browse(page, "--dump-dom")
            shown[box] = int(re.search(r"<title>rows: (\d+)</title>", dom).group(1))
        rows = {box: len(re.findall(rf'<tr class="(?:more )?{box}">', text)) for box in ("s0", "s1")}
        assert min(rows.values()) > 0 and shown[""] > shown["s0"] > 0, (shown, rows)
        assert shown["s0"] - rows["s0"] == shown["s1"] - rows["s1"], (shown, rows)
        page.write_text(text)

        # The probe itself: a page that complains is heard.
        page.write_text(page.read_text().replace("</body>", "<img src='http://localhost:9/x.png'></body>"))
        _, console = browse(page, "--dump-dom")
        assert console, "the browser's console is not heard"
    print(f"ok: {charts} charts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
