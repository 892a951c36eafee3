"""Languages by their ISO 639-1 codes, as cards write them, and by the English names people search for."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = """ar arabic|bg bulgarian|bn bengali|ca catalan|cs czech|cy welsh|da danish|de german|el greek|en english|
es spanish|et estonian|eu basque|fa persian|fi finnish|fr french|ga irish|gl galician|gu gujarati|he hebrew|hi hindi|
hr croatian|hu hungarian|hy armenian|id indonesian|is icelandic|it italian|ja japanese|ka georgian|kk kazakh|
km khmer|kn kannada|ko korean|lt lithuanian|lv latvian|mk macedonian|ml malayalam|mn mongolian|mr marathi|ms malay|
mt maltese|my burmese|ne nepali|nl dutch|no norwegian|pa punjabi|pl polish|pt portuguese|ro romanian|ru russian|
si sinhala|sk slovak|sl slovenian|sq albanian|sr serbian|sv swedish|sw swahili|ta tamil|te telugu|th thai|tl tagalog|
tr turkish|uk ukrainian|ur urdu|uz uzbek|vi vietnamese|zh chinese"""

LANGUAGES: Mapping[str, str] = {
    code: name.capitalize() for code, name in (entry.strip().split(" ", 1) for entry in _NAMES.split("|"))
}
"""Code to English name."""
BY_NAME: Mapping[str, str] = {name.lower(): code for code, name in LANGUAGES.items()} | {"multilingual": "multilingual"}


def language_name(code: str) -> str:
    """The English name of a code; the code itself when it is not one of the common ones."""
    return LANGUAGES.get(code, code)
