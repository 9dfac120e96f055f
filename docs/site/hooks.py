# SPDX-License-Identifier: Apache-2.0
"""What MkDocs does not do by itself for these pages.

- Pages that lie elsewhere in the repository are part of the site: see ELSEWHERE.
- Links to files outside of the site become plain text with the file's path, and must lead to a file that is there.
- A code block's name, as in ```cpp mine.cpp, becomes its title. Blocks of commands have marks instead, which are left out.
"""

import logging
import pathlib
import re

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parents[2]
ELSEWHERE = {
    "contributing.md": "CONTRIBUTING.md",
    "changes.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
    "peers.md": "apps/peers/README.md",
}
log = logging.getLogger("mkdocs.hooks.kqbench")


def on_files(files, config):
    for name, path in ELSEWHERE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    return files


def source_of(name):
    """The path in the repository of a page of the site."""
    return ROOT / ELSEWHERE[name] if name in ELSEWHERE else ROOT / "docs" / name


def on_page_markdown(markdown, page, config, files):
    name = page.file.src_uri
    folder = source_of(name).parent
    pages = {source_of(file.src_uri).resolve(): file.src_uri for file in files}
    depth = name.count("/")

    def relinked(match):
        text, target = match.groups()
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target) or not path:
            return match.group(0)
        file = (folder / path).resolve()
        if not file.exists():
            log.warning("%s: its link to %s leads nowhere", name, target)
        if file.is_dir() and (file / "README.md").resolve() in pages:
            file = file / "README.md"
        if file.resolve() in pages:
            return f"[{text}]({'../' * depth}{pages[file.resolve()]}{'#' + anchor if anchor else ''})"
        where = file.relative_to(ROOT) if file.is_relative_to(ROOT) else path
        return text if str(where) in text or text.endswith(file.name) else f"{text} (`{where}`)"

    lines = []
    fence = ""
    for line in markdown.split("\n"):
        mark = re.match(r"(`{3,})(\S*) ?(.*)$", line)
        shown = line
        if fence:
            if line.startswith(fence):
                fence = ""
        elif mark:
            fence, language, title = mark.groups()
            shown = fence + language + (f' title="{title}"' if title and language != "sh" else "")
        lines.append(shown)
    text = "\n".join(lines)
    # Code is left as it is: its blocks, and what is between backticks.
    parts = re.split(r"(^```.*?^```$|`[^`\n]+`)", text, flags=re.MULTILINE | re.DOTALL)
    link = re.compile(r"(?<!!)\[((?:[^\[\]]|\x00\d+\x00)*)\]\(([^()\s]+)\)")
    code = []

    def hide(part):
        code.append(part)
        return f"\x00{len(code) - 1}\x00"

    hidden = "".join(hide(part) if index % 2 else part for index, part in enumerate(parts))
    hidden = link.sub(relinked, hidden)
    return re.sub(r"\x00(\d+)\x00", lambda match: code[int(match.group(1))], hidden)
