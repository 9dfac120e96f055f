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
CODE = r"`[^`\n]+`"
LINK_OR_CODE = re.compile(rf"^```.*?^```$|(?<!!)\[((?:[^\[\]`]|{CODE})*)\]\(([^()\s]+)\)|{CODE}", re.MULTILINE | re.DOTALL)
NAMED_BLOCK = re.compile(r"^(```\S+) (.+)$", re.MULTILINE)
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

    # Code is left as it is.
    text = LINK_OR_CODE.sub(lambda match: match[0] if match[1] is None else relinked(match), markdown)
    return NAMED_BLOCK.sub(lambda match: match[1] if match[1] == "```sh" else f'{match[1]} title="{match[2]}"', text)
