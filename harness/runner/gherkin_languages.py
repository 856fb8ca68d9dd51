#!/usr/bin/env python3
"""Prints gherkin_languages.c from gherkin-languages.json of the pinned gherkin-official.
Usage: gherkin_languages.py FOLDER > gherkin_languages.c      FOLDER holds the Python packages (python-tools-2)
The table is committed, so that a build needs neither; gherkin_agreement.py fails when it is stale."""
import json
import sys

TITLES = [("feature", "FEATURE"), ("rule", "RULE"), ("background", "BACKGROUND"), ("scenario", "SCENARIO"),
          ("scenarioOutline", "SCENARIO"), ("examples", "EXAMPLES")]
STEPS = [("given", "CONTEXT"), ("when", "ACTION"), ("then", "OUTCOME"), ("and", "CONJUNCTION"), ("but", "CONJUNCTION")]


def bytes_of(word):
    return f"W({json.dumps(word, ensure_ascii=False)})"


def rows(kind, words):
    return "".join(f"    {{{bytes_of(word)}, {kind}{value}}},\n" for word, value in words)


def titles(dialect):
    found = {}
    for key, kind in TITLES:
        for word in dialect[key]:
            found.setdefault(word, kind)
    return list(found.items())


def steps(dialect):
    found = {}
    for key, kind in STEPS:
        for word in dialect[key]:
            found.setdefault(word, []).append(kind)
    longest_first = sorted(found, key=len, reverse=True)
    return [(word, found[word][0] if len(found[word]) == 1 else "UNKNOWN") for word in longest_first]


def text(folder):
    with open(f"{folder}/gherkin/gherkin-languages.json", encoding="utf8") as file:
        languages = json.load(file)
    out = ["/* Printed by gherkin_languages.py from gherkin-languages.json of cucumber/gherkin (MIT). */\n",
           '#include "gherkin_line.h"\n\n/* clang-format off */\n#define W(text) {text, sizeof(text) - 1}\n\n']
    for number, dialect in enumerate(languages.values()):
        out.append(f"static const struct gherkin_title titles_{number}[] = {{\n{rows('LINE_', titles(dialect))}}};\n")
        out.append(f"static const struct gherkin_step_word steps_{number}[] = {{\n{rows('GHERKIN_', steps(dialect))}}};\n")
    out.append("\nconst struct gherkin_dialect gherkin_dialects[] = {\n")
    for number, name in enumerate(languages):
        out.append(f"    {{{bytes_of(name)}, titles_{number}, BV_COUNT(titles_{number}), steps_{number}, "
                   f"BV_COUNT(steps_{number})}},\n")
    out.append("};\nconst size_t gherkin_dialect_count = BV_COUNT(gherkin_dialects);\n")
    return "".join(out)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf8")
    sys.stdout.write(text(sys.argv[1]))
