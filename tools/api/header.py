# SPDX-License-Identifier: MIT
"""header.py - reads client/regfast.h, whose comments are the documentation of libregfast.

The header is regular C of our own, laid out by clang-format: no macros in declarations but
REGFAST_API, no typedefs. What does not fit is refused with its line, so that neither the manual nor
the list of the ABI ever lacks something in silence.
"""

import re
from dataclasses import dataclass, field


class HeaderError(Exception):
    pass


@dataclass
class Declared:
    """A member, a parameter or a constant: `declaration` is the C text without its name."""

    name: str
    declaration: str
    doc: str = ""


@dataclass
class Function:
    name: str
    returns: str
    parameters: list[Declared]
    doc: str
    line: int


@dataclass
class Struct:
    name: str  # "regfast_owner"
    members: list[Declared] | None  # None: opaque
    doc: str
    line: int


@dataclass
class Enum:
    name: str  # "": its constants only
    constants: list[Declared]
    doc: str
    line: int


@dataclass
class Page:
    """The declarations from one "---- name: title ----" to the next."""

    name: str
    title: str
    doc: str = ""  # of the marker: text that belongs to all of the page
    items: list[Function | Struct | Enum] = field(default_factory=list)

    def functions(self) -> list[Function]:
        return [item for item in self.items if isinstance(item, Function)]


COMMENT = re.compile(r"/\*.*?\*/", re.S)
MARKER = re.compile(r"---- (\w+): (.+?) ----\n?(.*)", re.S)


def comment_text(comment: str) -> str:
    """The text of a comment, without what makes it one; lines keep their further indent."""
    lines = []
    for line in comment[2:-2].split("\n"):
        line = re.sub(r"^\s*\*(?: |$)", "", line) if lines else line.strip()
        lines.append(line.rstrip())
    if lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) > 1 and all(not line or line.startswith("   ") for line in lines[1:]):
        # Beside a member: no stars, aligned with the first line.
        lines = [line.strip() for line in lines]
    return "\n".join(lines)


def split_outside(text: str, separator: str) -> list[str]:
    """Splits where no parenthesis, bracket or brace is open."""
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char == separator and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return parts


def declared(text: str, where: str) -> Declared:
    """Parts a name from what declares it: "char id[8]" is id, "char [8]"."""
    text = " ".join(text.split())
    match = re.search(r"\(\*(\w+)\)", text) or re.search(r"(\w+)(?=(?:\[[^\]]*\])*$)", text)
    if match is None or "{" in text:
        raise HeaderError(f"{where}: cannot read the declaration '{text}'")
    name = match.group(1)
    rest = (text[: match.start(1)] + text[match.end(1) :]).strip()
    if not rest:
        raise HeaderError(f"{where}: '{text}' has no type or no name")
    return Declared(name, rest)


def read_body(body: str, separator: str, where: str) -> list[tuple[str, str]]:
    """(text, comment) of each part; a comment belongs to the part in whose line it begins, also
    after its separator, or else to the next."""
    parts: list[tuple[str, str]] = []
    text, doc, at = "", "", 0
    while at < len(body):
        match = COMMENT.match(body, at)
        if match:
            line = body[body.rfind("\n", 0, at) + 1 : at]
            said = comment_text(match.group())
            if not text.strip() and line.strip() and parts:
                parts[-1] = (parts[-1][0], said)
            elif doc:
                raise HeaderError(f"{where}: two comments at '{text.strip()}'")
            else:
                doc = said
            at = match.end()
            continue
        if body[at] == separator and text.count("(") == text.count(")"):
            parts.append((text.strip(), doc))
            text, doc = "", ""
        else:
            text += body[at]
        at += 1
    if text.strip():
        parts.append((text.strip(), doc))
    return parts


def read_declaration(text: str, doc: str, line: int) -> Function | Struct | Enum:
    where = f"line {line}"
    match = re.fullmatch(r"(struct|enum)\s*(\w*)\s*(?:\{(.*)\})?", text, re.S)
    if match:
        kind, name, body = match.groups()
        if kind == "struct":
            members = None
            if body is not None:
                members = []
                for part, said in read_body(body, ";", where):
                    member = declared(part, where)
                    member.doc = said
                    members.append(member)
            return Struct(name, members, doc, line)
        if body is None:
            raise HeaderError(f"{where}: an enum without its constants")
        constants = []
        for part, said in read_body(body, ",", where):
            name_of, _, value = part.partition("=")
            constants.append(Declared(name_of.strip(), value.strip(), said))
        return Enum(name, constants, doc, line)
    match = re.fullmatch(r"REGFAST_API\s+(.*?)(\w+)\((.*)\)", COMMENT.sub("", text), re.S)
    if match is None:
        raise HeaderError(f"{where}: neither a struct, an enum nor a REGFAST_API function: '{text}'")
    returns, name, arguments = match.groups()
    arguments = " ".join(arguments.split())
    parameters = []
    if arguments != "void":
        parameters = [declared(part, where) for part in split_outside(arguments, ",")]
    return Function(name, " ".join(returns.split()), parameters, doc, line)


def read(path: str) -> list[Page]:
    """All pages of the header; the first is the head of the file, named "regfast"."""
    with open(path, encoding="utf-8") as file:
        text = file.read()

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match.group())

    code = re.sub(r"^#ifdef __cplusplus\n.*?^#endif\n", blank, text, flags=re.S | re.M)
    code = re.sub(r"^#(?:.*\\\n)*.*$", blank, code, flags=re.M)
    pages: list[Page] = []
    doc, at = "", 0
    while at < len(code):
        if code[at].isspace():
            if code.startswith("\n\n", at):
                doc = ""  # a comment is of what follows it at once
            at += 1
            continue
        line = code.count("\n", 0, at) + 1
        match = COMMENT.match(code, at)
        if match:
            said = comment_text(match.group())
            marker = MARKER.fullmatch(said)
            if not pages:
                said = re.sub(r"^SPDX.*\n+", "", said)
                name, _, rest = said.partition("\n")
                pages.append(Page("regfast", name.partition(" - ")[2].rstrip("."), rest.strip("\n")))
            elif marker:
                pages.append(Page(marker.group(1), marker.group(2), marker.group(3).strip()))
            elif said.startswith("--"):
                raise HeaderError(f'line {line}: a part begins with "---- PAGE: what it is ----"')
            else:
                doc = said
            at = match.end()
            continue
        depth, end = 0, at
        while end < len(code) and (code[end] != ";" or depth > 0):
            inner = COMMENT.match(code, end)
            if inner:
                end = inner.end()
                continue
            depth += (code[end] in "{(") - (code[end] in "})")
            end += 1
        if end == len(code) or not pages:
            raise HeaderError(f"line {line}: a declaration without an end, or before the head")
        pages[-1].items.append(read_declaration(code[at:end].strip(), doc, line))
        doc, at = "", end + 1
    names = [page.name for page in pages]
    if len(set(names)) != len(names):
        raise HeaderError(f"two parts of one name among: {' '.join(names)}")
    return pages
