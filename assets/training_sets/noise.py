"""Character noise on text, for the baselines RandomAug and SpellingAug.

The paper names nlpaug, which is not maintained; similar libraries (TextAttack, AugLy, textaugment) need a framework and
models, and none of them leaves code, formulas and numbers unchanged, which our comparison needs. So these are nlpaug's
character and spelling augmenters, with its defaults (`NoiseRules`), on words of prose only. Noise inserts letters only,
so that it never begins a formula or looks like a number.
"""

import re
import string
from collections.abc import Callable, Iterator
from itertools import pairwise
from random import Random

from assets.training_sets.configuration import NoiseRules
from resources.identity import stable_hash

# What noise does not change; the first match wins. It may match too much: a sentence about code may get no noise.
_LINE = r"(?:(?!```|~~~|\$\$|\\\[|\\begin)[^\n])*"  # the rest of a line in which no block of several lines begins
_SPARED = re.compile(
    rf"""
      (?P<fence>```|~~~) .*? (?:(?P=fence)|\Z)                         # fenced code
    | `[^`\n]+`                                                        # inline code
    | \$\$.*?\$\$ | \$[^$\n]+\$ | \\\[.*?\\\] | \\\(.*?\\\)            # formulas
    | \\begin\{{.*?\\end\{{[^}}\n]*\}}
    | \\[A-Za-z]+(?:\{{[^{{}}\n]*\}})*                                 # commands of LaTeX, \\boxed{{…}} among them
    | \[[^\[\]\n]*\]                                                   # answers as [x], and what looks like one
    | <[^<>\n]*>                                                       # tags
    | ^(?:[ ]{{4}}|\t){_LINE}                                           # indented code
    | ^[ \t]*(?:import|from|def|class|return|public|private|static|var|let|const|using|package)\b{_LINE}
    | ^[ \t]*(?:\#include|//|>>>){_LINE}
    | ^{_LINE}[{{}};][ \t]*$                                            # lines of code
    | ^[ \t]*[\w.\[\]]+[ \t]*[-+*/]?={_LINE}
    | \b\w+\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)                       # calls
    | (?<!\S)\S*[\d_=@/\\|\#&%^~]\S*                                  # numbers, names of code, addresses
    | \b\w+(?:\.\w+)+                                                  # dotted names
    | \b[A-Za-z]*[a-z][A-Z]\w* | \b[A-Z]{{2,}}\b                        # camelCase, acronyms, SQL
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_WORD = re.compile(r"(?<![\w'’-])[A-Za-z]+(?![\w'’-])")
_NEIGHBOURS = {
    letter: near
    for row, below in pairwise(("qwertyuiop", "asdfghjkl", "zxcvbnm", ""))
    for index, letter in enumerate(row)
    for near in [row[max(0, index - 1) : index] + row[index + 1 : index + 2] + below[max(0, index - 1) : index + 1]]
}
# What people confuse: endings, silent and doubled letters, sounds.
_CONFUSED = [
    pair
    for one, other in (
        ("ie", "ei"), ("able", "ible"), ("ance", "ence"), ("ant", "ent"), ("ary", "ery"), ("tion", "sion"),
        ("our", "or"), ("ise", "ize"), ("ful", "full"), ("ous", "us"), ("ly", "ley"), ("ck", "k"), ("ph", "f"),
        ("wh", "w"), ("kn", "n"), ("ght", "gt"), ("sc", "s"), ("que", "k"), ("ea", "ee"), ("ou", "uo"),
    )
    for pair in ((one, other), (other, one))
]  # fmt: skip


def spared(text: str) -> list[str]:
    """The parts of `text` that noise must not change, in order: code, formulas, numbers, answers in `[x]`, …"""
    return [match[0] for match in _SPARED.finditer(text)]


def keeps_spared(text: str, noisy: str) -> bool:
    """Whether `noisy` contains all parts of `text` that noise must not change, in the same order."""
    index = 0
    for part in spared(text):
        index = noisy.find(part, index) + len(part)
        if index < len(part):
            return False
    return True


def random_noise(text: str, rules: NoiseRules, *identity: str) -> str:
    """`text` with letters of some words inserted, substituted, swapped and deleted at random (RandomAug).

    Args:
        text: prose, or prose with code and formulas.
        rules: how much.
        identity: whose text it is; the same text and identity always get the same noise.
    """

    def garble(word: str, chance: Random) -> str:
        letters = list(word)
        for _ in range(max(1, round(rules.character_share * len(word)))):
            index = chance.randrange(len(letters) - 1)
            match chance.choice(("insert", "substitute", "swap", "delete")):
                case "insert":
                    letters.insert(index, chance.choice(string.ascii_letters))
                case "substitute":
                    letters[index] = chance.choice(string.ascii_letters.replace(letters[index], ""))
                case "swap":
                    letters[index], letters[index + 1] = letters[index + 1], letters[index]
                case "delete":
                    del letters[index]
        return "".join(letters)

    return _noisy(text, rules, garble, Random(stable_hash("random_aug", rules.seed, *identity)))


def spelling_noise(text: str, rules: NoiseRules, *identity: str) -> str:
    """`text` with some words misspelt as people do: confused endings, doubled letters, wrong keys (SpellingAug).

    Arguments as for `random_noise`.
    """
    return _noisy(text, rules, _misspelt, Random(stable_hash("spelling_aug", rules.seed, *identity)))


def _misspelt(word: str, chance: Random) -> str:
    """A misspelling of a word of at least three letters: a common one if there is one, else a wrong key."""
    confused = [
        word[: at.start()] + other + word[at.end() :]
        for one, other in _CONFUSED
        for at in re.finditer(one, word)
        if at.start() > 0
    ]
    undoubled = [word[:index] + word[index + 1 :] for index in range(1, len(word)) if word[index] == word[index - 1]]
    index = chance.randrange(1, len(word) - 1)
    near = _NEIGHBOURS.get(word[index].lower(), "")
    slips = [
        word[:index] + word[index + 1] + word[index] + word[index + 2 :],
        word[:index] + word[index] + word[index:],
        word[:index] + (chance.choice(near) if near else "") + word[index + 1 :],
    ]
    return chance.choice(confused + undoubled or slips)


def _noisy(text: str, rules: NoiseRules, change: Callable[[str, Random], str], chance: Random) -> str:
    """`text` with `change` applied to some of the words that are long enough and not spared."""
    words = list(_words(text, rules.shortest_word))
    wanted = min(rules.most_words, max(1, round(rules.word_share * len(words))), len(words))
    parts, end = [], 0
    for start, stop in sorted(chance.sample(words, wanted)):
        parts += [text[end:start], change(text[start:stop], chance)]
        end = stop
    return "".join([*parts, text[end:]])


def _words(text: str, shortest: int) -> Iterator[tuple[int, int]]:
    """(start, end) of every word that may be changed."""
    kept = [match.span() for match in _SPARED.finditer(text)]
    for (_, start), (end, _) in pairwise([(0, 0), *kept, (len(text), len(text))]):
        for word in _WORD.finditer(text, start, end):
            if len(word[0]) >= shortest:
                yield word.span()
