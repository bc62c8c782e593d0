"""The words and names that the search for personal data goes by: what stands before a number, and what ends an address.

The lists are in `pii_words.tsv`. In those of words before a number, `*` at the end of a word means that letters may follow.
Sources: the IANA root zone (top-level domains in other scripts), the National Payments Corporation of India (UPI handles), the Reserve
Bank of India (codes of banks), RFC 6890 (addresses for special purposes), CLDR (the regions that a language is mainly spoken in).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

_FILE = Path(__file__).with_name("pii_words.tsv")


@lru_cache(maxsize=16)
def listed(name: str) -> dict[str, str]:
    """The entries of a list, in its order, with what stands after their `=` sign, "" where there is none.

    phone, aadhaar, version, other_number: words before a number; upi: handles; file_endings: of names such as icon@2x.png;
    unspaced_endings: top-level domains in scripts without spaces; banks; special_addresses: blocks; regions: language to regions.

    >>> listed("regions")["hi"], "oksbi" in listed("upi")
    ('IN', True)
    """
    lines = _FILE.read_text("utf-8").splitlines()[1:]
    entries = next(line.partition("\t")[2] for line in lines if line.startswith(f"{name}\t"))
    return {entry: value for entry, _, value in (part.partition("=") for part in entries.split())}


def regions(lang: str) -> tuple[str, ...]:
    """The regions (ISO 3166) whose national phone numbers a text in the language may hold; none for a language not in the list.

    >>> regions("zh-Hant"), regions("pt-BR"), regions("und")
    (('TW', 'HK'), ('BR', 'PT'), ())
    """
    known, parts = listed("regions"), lang.split("-")
    said = known.get(lang) or known.get("-".join(parts[:2])) or known.get(parts[0]) or ""
    return tuple(filter(None, said.split(",")))
