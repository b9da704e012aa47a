"""Text without its disguises: look-alike letters, invisible characters, digits for letters, letters spread out."""

import re
import unicodedata

# Cyrillic, Greek, Armenian and phonetic letters, and the Latin ones that they look like, after case was folded.
_LOOKS = "аьсԁеёһіїјкӏмнорԛгѕтуѵԝхүαβϲεηικνορστυχγωոօսցıɡłøđƒɑɩʏʀᴀʙᴄᴅᴇɢʜɪᴊᴋʟᴍɴᴏᴘꜱᴛᴜᴠᴡᴢ"
_LIKE = "abcdeehiijklmhopqrstyvwxyabcenikvopotuxywnougiglodfaiyrabcdeghijklmnopstuvwz"
_LOOK_ALIKE = str.maketrans(_LOOKS, _LIKE)
_FOR_LETTERS = str.maketrans("013457@$!|+€", "oieastasiite")
_INVISIBLE = frozenset({"Cf", "Mn", "Me", "Cc"})
# One letter, then others each after the same separator; the last is no beginning of something longer.
SPREAD = re.compile(r"(?<![^\W_])[^\W_]([ .\-_*~]{1,2})[^\W_](?:\1[^\W_])+(?![.\-_*~]?[^\W_])")
_SEPARATORS = re.compile(r"[ .\-_*~]")
_MIXED = re.compile(r"[\w@$!|+€]+")
_REPEATED = re.compile(r"(.)\1{2,}")


def fold(text: str) -> str:
    """Lower case, accents and invisible characters gone, look-alike letters of other scripts made Latin.

    White space other than the space becomes a space each, so that words stay apart. For English text: languages that
    need their marks lose them.

    >>> fold("\uff29\uff24\u200b\u0406ÖT")
    'idiot'
    """
    if text.isascii():
        return re.sub(r"\s", " ", text.lower())
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = [" " if c.isspace() else c for c in plain if c.isspace() or unicodedata.category(c) not in _INVISIBLE]
    return "".join(kept).translate(_LOOK_ALIKE)


def letters_for_digits(folded: str) -> str:
    """Digits and signs inside words turned into the letters that they stand for; numbers and marks stay.

    >>> letters_for_digits("y0u 1d10t! pay $300 by 5pm")
    'you idiot! pay $300 by 5pm'
    """
    return _MIXED.sub(lambda found: _undo(found.group()), folded)


def _undo(token: str) -> str:
    core = token.rstrip("!|+")
    num_letters = sum(c.isalpha() for c in core)
    # `5pm`, `30th`, `1080p` and `mp3` are no disguise: they begin or end with their whole number.
    if num_letters == 0 or core.isalpha() or re.fullmatch(r"[$€+]?\d+[a-z]{1,2}|[a-z]+\d+", core):
        return token
    return core.translate(_FOR_LETTERS) + token[len(core) :]


def gathered(folded: str) -> str:
    """Letters that were spread out, brought together.

    >>> gathered("you i d i o t, s-t-u-p-i-d")
    'you idiot, stupid'
    """
    return SPREAD.sub(lambda found: _SEPARATORS.sub("", found.group()), folded)


def shortened(folded: str) -> str:
    """Letters repeated for show, twice at most.

    >>> shortened("looooser")
    'looser'
    """
    return _REPEATED.sub(r"\1\1", folded)


def undisguised(text: str) -> str:
    """All of it: what the classifier reads.

    >>> undisguised("Y0U are an i.d.i.0.t!!!")
    'you are an idiot!!'
    """
    return shortened(letters_for_digits(gathered(fold(text))))
