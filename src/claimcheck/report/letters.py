"""Letters that the PDF's fonts lack: first another font, then their names. The PDF never depends on the machine's fonts.

typst has Libertinus Serif, New Computer Modern (Devanagari, too) and DejaVu Sans Mono built in. DejaVu Sans, which comes
with matplotlib, adds scripts, arrows, symbols and many an emoji. A letter that none of them has (a Chinese one, say) is shown
as ⟨its name⟩; the page in HTML shows it as it is.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from claimcheck.files import make_folder

_LACKING = re.compile(r'the text `"(.*?)"` could not be displayed', re.DOTALL)
_CODE = re.compile(r"\\u\{([0-9a-fA-F]+)\}")


def lacking(diagnostic: str) -> set[str]:
    """The letters that typst says it has no font for; empty where something else is wrong."""
    texts = (_CODE.sub(lambda code: chr(int(code[1], 16)), text) for text in _LACKING.findall(diagnostic))
    return {letter for text in texts for letter in text if not letter.isascii()}


def add_font(folder: Path) -> Path:
    """Put the font that is asked when typst's own lack a letter into `folder`, which holds no other, and give that."""
    from matplotlib import get_data_path

    shutil.copy(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), make_folder(folder))
    return folder


def write_names(document: Path, target: Path, letters: Iterable[str]) -> Path:
    """Copy a document and its pictures to `target`, with names in the place of `letters`; where it is now."""
    source = document.parent
    names = str.maketrans({letter: name(letter) for letter in letters})
    for path in [*source.glob("pictures/*.svg"), *source.glob("figures/*/*.svg")]:
        copy = make_folder((target / path.relative_to(source)).parent) / path.name
        copy.write_text(path.read_text(encoding="utf-8").translate(names), encoding="utf-8")
    text = document.read_text(encoding="utf-8")
    copy = target / document.name
    copy.write_text(_rules(letters) + text + NOTE, encoding="utf-8")
    return copy


def name(letter: str) -> str:
    """What stands for a letter: the name of a symbol, the code point of a letter, nothing for what is never seen."""
    kind = unicodedata.category(letter)
    if kind in ("Cf", "Mn", "Me"):
        return ""
    named = unicodedata.name(letter, "").lower() if kind.startswith("S") else ""
    return f"\N{MATHEMATICAL LEFT ANGLE BRACKET}{named or f'U+{ord(letter):04X}'}\N{MATHEMATICAL RIGHT ANGLE BRACKET}"


def _rules(letters: Iterable[str]) -> str:
    """What makes typst show the names of `letters` in their places."""
    codes = {letter: f"\\u{{{ord(letter):x}}}" for letter in sorted(letters)}
    names = ", ".join(f'"{code}": "{name(letter)}"' for letter, code in codes.items())
    return f'#let names-of-letters = ({names})\n#show regex("[{"".join(codes.values())}]"): it => names-of-letters.at(it.text)\n'


NOTE = "\n#aside[Names in ⟨ ⟩ stand for letters that no font of this document has; report.html shows the letters.]\n"
"""The last line of a PDF in which names stand for letters."""
