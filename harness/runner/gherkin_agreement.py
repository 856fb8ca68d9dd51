#!/usr/bin/env python3
"""The Gherkin parser beside gherkin-official, the one of Cucumber: every file that both are given has the same syntax tree and the
same pickles, or the same first error at the same place, for the same reason.
Usage: gherkin_agreement.py DUMP TOOLS ROOT [COUNT [SEED]]
  DUMP   gherkin_dump                       TOOLS  the folder python-tools-2 of the dependencies
  ROOT   the checkout: its features, fuzz/corpora/gherkin and testdata/gherkin beside this file
  COUNT  generated files, 200               SEED   the first one's; file i is made from SEED + i
Not compared: ids (ours are the places), a byte order mark (ours skips it as other Cucumber parsers do; Python's does not),
files that are not UTF-8 (both refuse), pickles of outlines whose placeholders hold more than letters (the official compiler takes
them for regular expressions), an empty media type that a placeholder left (we have none then)."""
import difflib
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOKENS = {"end of file": "#EOF", "language": "#Language", "table row": "#TableRow", "doc string": "#DocStringSeparator",
          "step": "#StepLine", "tag": "#TagLine", "Examples:": "#ExamplesLine", "Feature:": "#FeatureLine",
          "Background:": "#BackgroundLine", "Scenario:": "#ScenarioLine", "Rule:": "#RuleLine"}
ALWAYS = {"#Comment", "#Empty", "#Other"}


def place_ids(node, places):
    """Notes where each id of the official tree is."""
    if isinstance(node, dict):
        if "id" in node and "location" in node:
            places[node["id"]] = f"{node['location']['line']}:{node['location']['column']}"
        for value in node.values():
            place_ids(value, places)
    elif isinstance(node, list):
        for value in node:
            place_ids(value, places)


def odd_placeholders(node):
    """Whether a header of examples is more than a word, for a regular expression too."""
    if isinstance(node, dict):
        header = node.get("tableHeader", {"cells": []})["cells"]
        return any(re.search(r"[^\w ]", cell["value"]) for cell in header) or any(map(odd_placeholders, node.values()))
    return isinstance(node, list) and any(map(odd_placeholders, node))


def with_places(node, places):
    if isinstance(node, dict):
        return {key: ([places[i] for i in value] if key == "astNodeIds" else places[value] if key in ("id", "astNodeId")
                      else with_places(value, places)) for key, value in node.items()}
    return [with_places(value, places) for value in node] if isinstance(node, list) else node


def official(data, parser_module, matcher_module, compiler_module, errors_module):
    parser = parser_module.Parser()
    parser.stop_at_first_error = True
    try:
        text = data.decode("utf8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        return {"error": "not UTF-8"}
    try:
        document = parser.parse(text, matcher_module.TokenMatcher())
    except errors_module.ParserException as error:
        message = re.sub(r"^\(\d+:\d+\): ", "", str(error))
        return {"error": f"{error.location['line']}:{error.location.get('column', 0) or 1}", "text": message}
    document["uri"] = "file"
    places = {None: None}
    place_ids(document, places)
    if odd_placeholders(document):
        return {"gherkinDocument": with_places(document, places)}
    pickles = compiler_module.Compiler().compile(document)
    for pickle in pickles:
        pickle["id"] = None
        for step in pickle["steps"]:
            step["id"] = None
            step["type"] = step["type"] or "Unknown"  # an outline that begins with And
            doc = step.get("argument", {}).get("docString", {})
            if doc.get("mediaType") == "":
                del doc["mediaType"]
    return {"gherkinDocument": with_places(document, places), "pickles": with_places(pickles, places)}


def ours(line):
    result = json.loads(line)
    if "error" in result:
        error = result["error"]
        if error["text"] == "the file is not UTF-8":
            return {"error": "not UTF-8"}
        return {"error": f"{error['line']}:{error['column']}", "text": error["text"]}
    for pickle in result["pickles"]:
        for node in [pickle] + pickle["steps"]:
            node["id"] = None
    return result


def same_reason(mine, theirs):
    """Our messages name things for people, theirs the tokens of the grammar; what may stand always is not named in ours."""
    got = re.match(r"expected: (.*?), got '(.*)'$", theirs, re.S)
    end = re.match(r"unexpected end of file, expected: (.*)$", theirs, re.S)
    if got or end:
        tokens = [token for token in (got or end).group(1).split(", ") if token not in ALWAYS]
        if tokens == ["#DocStringSeparator"]:
            return "is not closed" in mine
        names = [name for name, token in TOKENS.items() if token in tokens]
        names.sort(key=lambda name: tokens.index(TOKENS[name]))
        wanted = ("" if got else "unexpected end of file, ") + "expected " + ", ".join(names)
        if not got:
            return mine == wanted
        shown = re.match(re.escape(wanted) + r', got "(.*?)"?$', mine, re.S)
        return bool(shown) and got.group(2).split("\0")[0].startswith(shown.group(1))
    return mine.lower().replace("white space", "whitespace") == theirs.lower()


def difference(mine, theirs):
    if "error" in mine or "error" in theirs:
        if mine.get("error") == theirs.get("error") and ("text" not in mine or same_reason(mine["text"], theirs["text"])):
            return None
        return f"  ours:     {mine.get('error', 'parsed')} {mine.get('text', '')}\n" \
               f"  official: {theirs.get('error', 'parsed')} {theirs.get('text', '')}"
    mine = {key: mine[key] for key in theirs}
    if mine == theirs:
        return None
    texts = [json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=False).splitlines() for tree in (mine, theirs)]
    return "\n".join(list(difflib.unified_diff(*texts, "ours", "official", lineterm="", n=4))[:30])


def collect(root, folder, count, seed, dialects):
    import gherkin_generate
    files = []
    for base in (os.path.join(root, "scenarios"), os.path.join(root, "fuzz/corpora"), os.path.join(root, "harness"),
                 os.path.join(root, "reports")):
        for path, folders, names in os.walk(base):
            folders[:] = [name for name in folders if name not in ("out", "build", "node_modules")]
            files += [os.path.join(path, name) for name in names
                      if name.endswith(".feature") or path.endswith(("corpora/gherkin", "testdata/gherkin"))]
    for number in range(count):
        path = os.path.join(folder, f"{seed + number}.feature")
        with open(path, "wb") as file:
            file.write(gherkin_generate.generate(seed + number, dialects))
        files.append(path)
    return sorted(files[:-count or None]) + files[len(files) - count:]


def main():
    dump, tools, root = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 200
    seed = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    sys.path[:0] = [tools, HERE]
    try:
        from gherkin import dialect, errors, parser, token_matcher
        from gherkin.pickles import compiler
    except ImportError as error:
        sys.exit(f"gherkin-official is missing ({error}): run `make deps GROUP=test`.")
    import gherkin_languages
    failures = 0
    with open(os.path.join(HERE, "gherkin_languages.c"), encoding="utf8") as file:
        if file.read() != gherkin_languages.text(tools):
            print("gherkin_languages.c is stale: gherkin_languages.py prints another")
            failures += 1
    with tempfile.TemporaryDirectory() as folder:
        files = collect(root, folder, count, seed, dialect.DIALECTS)
        lines = []
        for at in range(0, len(files), 500):
            output = subprocess.run([dump] + files[at:at + 500], stdout=subprocess.PIPE, check=True).stdout
            lines += output.decode("utf8").split("\n")[:-1]
        refused = 0
        for path, line in zip(files, lines, strict=True):
            with open(path, "rb") as file:
                theirs = official(file.read(), parser, token_matcher, compiler, errors)
            refused += "error" in theirs
            report = difference(ours(line), theirs)
            if report:
                failures += 1
                print(f"{path}: not as gherkin-official\n{report}")
                if failures >= 10:
                    break
    print(f"{len(files)} files, {refused} of them refused: {failures} differences")
    return 1 if failures or not refused or refused == len(files) else 0


if __name__ == "__main__":
    sys.exit(main())
