"""Texts of others on a terminal."""

from __future__ import annotations

_PICTURES = 0x2400  # Unicode's pictures of control characters stand here in their order
_SHOWN = {
    **{code: _PICTURES + code for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: 0x2421,
    **dict.fromkeys((*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD),
}


def shown(text: str) -> str:
    r"""A text that cannot steer a terminal: pictures of control characters, and none that turn the direction of what follows.

    >>> shown("one\x1b[2J two\n")
    'one␛[2J two\n'
    """
    return text.translate(_SHOWN)
