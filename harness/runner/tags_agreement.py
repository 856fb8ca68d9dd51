#!/usr/bin/env python3
"""Tag expressions beside cucumber-tag-expressions: the same are refused, the others hold for the same tags.

Usage: tags_agreement.py TAGS_DUMP PYTHON_TOOLS_DIR [SEED]     One line per disagreement; exit status 1 when there is one.

Left out on purpose, because the peer reads them unlike the specification: a literal that is nothing but an escaped parenthesis,
a backslash at the end, and white space other than the space."""
import random
import subprocess
import sys

sys.path.insert(0, sys.argv[2])
from cucumber_tag_expressions import parse  # noqa: E402
from cucumber_tag_expressions.parser import TagExpressionError  # noqa: E402

TAGS = ["@a", "@b", "@c", "@step-1", "@with space", "@f(x)", "@back\\slash", "plain", "@not", "@Or"]
SETS = 6
EXPRESSIONS = 400
SAMPLES = ["", " ", "@a", "not @a", "@a and @b", "@a or @b and @c", "(@a or @b) and @c", "not (@a and @b) or not @c", "not not @a",
           "@a and", "and", "or @a", "not", "(", ")", "()", "(@a", "@a)", "@a @b", "@a not @b", "@a (@b)", "(@a)(@b)", "@a and or @b",
           "@a and not", "@a\\b", "@a\\(", "@f\\(x\\)", "@with\\ space", "@back\\\\slash", "((@a))", "not(@a)", "(@a)and(@b)", "NOT @a", "@a AND @b"]


def escape(tag):
    return "".join("\\" + c if c in "()\\ " else c for c in tag)


def expression(draw, depth):
    kind = draw.random()
    if depth == 0 or kind < 0.3:
        return escape(draw.choice(TAGS))
    if kind < 0.5:
        return "not " + expression(draw, depth - 1)
    if kind < 0.65:
        return draw.choice(["(%s)", "( %s )"]) % expression(draw, depth - 1)
    return expression(draw, depth - 1) + draw.choice([" and ", " or ", "  and  "]) + expression(draw, depth - 1)


def damaged(draw, text):
    """Drops, doubles or moves one word or parenthesis: many of these are refused."""
    words = text.replace("(", " ( ").replace(")", " ) ").split(" ") if "\\" not in text else text.split(" ")
    at = draw.randrange(len(words))
    words[at:at + 1] = draw.choice([[], [words[at], words[at]], [words[at], draw.choice(["and", "or", "not", "(", ")", "@a"])]])
    return " ".join(words)


def peer(text, tags):
    try:
        return "1" if parse(text).evaluate(tags) else "0"
    except TagExpressionError:
        return "refused"


def main():
    draw = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 4)
    texts = list(SAMPLES)
    while len(texts) < len(SAMPLES) + EXPRESSIONS:
        text = expression(draw, 4)
        text = damaged(draw, text) if draw.random() < 0.3 else text
        if (len(text) - len(text.rstrip("\\"))) % 2 == 0:
            texts.append(text)
    cases = [(text, draw.sample(TAGS, draw.randrange(len(TAGS)))) for text in texts for _ in range(SETS)]
    lines = "".join("\t".join([text, *tags]) + "\n" for text, tags in cases)
    ours = subprocess.run([sys.argv[1]], input=lines, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    counts, wrong = {"1": 0, "0": 0, "refused": 0}, 0
    for (text, tags), mine in zip(cases, ours, strict=True):
        theirs = peer(text, tags)
        counts[theirs] += 1
        if mine != theirs:
            wrong += 1
            print(f"{text!r} with {' '.join(tags)}: we say {mine}, cucumber-tag-expressions {theirs}")
    print(f"{len(texts)} expressions, {len(cases)} cases: {counts['1']} hold, {counts['0']} do not, {counts['refused']} are refused; {wrong} disagreements")
    sys.exit(wrong > 0 or min(counts.values()) < 100)


main()
