"""Feature files made from a seed: whole ones in any language, and the same with something broken.
Part of gherkin_agreement.py."""
import random

WORDS = ["a", "order", "<a>", "<b>", "x y", "été", "日本語", "\u00a0", "1", "|", "#", "@t", "\\", "\"", "* ", "Given", "Rule:",
         "\t", "🙂", "<", ">", "Scenario:", "\u3000wide", "a\\nb", "&amp;", "``", "\x0b", "\x1c", "e\u0301"]
BLANKS = ["", "", "", " ", "  ", "\t", "\u00a0", "   \t"]


class Writer:
    def __init__(self, seed, dialects):
        self.random = random.Random(seed)
        self.lines = []
        name = "en" if self.random.random() < 0.7 else self.random.choice(sorted(dialects))
        self.name, self.words = name, dialects[name]

    def chance(self, share):
        return self.random.random() < share

    def text(self, most=3):
        return " ".join(self.random.choice(WORDS) for _ in range(self.random.randint(0, most)))

    def line(self, text):
        self.lines.append(self.random.choice(BLANKS) + text + self.random.choice(["", "", "", " ", "\t"]))

    def between(self):
        while self.chance(0.2):
            self.line(self.random.choice(["", "", "# a comment", "#", "# language: no", "#@a"]))

    def title(self, key, name=None):
        self.between()
        space = self.random.choice(["", " ", " ", "  "])
        self.line(self.random.choice(self.words[key]) + ":" + space + (self.text() if name is None else name))
        while self.chance(0.15):
            self.line(self.random.choice(["", "about " + self.text(), "# within", "   ", "text\\|", "; not a step"]))

    def tags(self):
        while self.chance(0.3):
            names = ["@" + self.random.choice(["a", "b-c", "d#e", "é", "1", "f+g", "h\\i", ""]) for _ in range(self.random.randint(1, 3))]
            self.line(self.random.choice([" ", "  ", "\t", ""]).join(names) + self.random.choice(["", "", " #c", "\t# @x y", "#z"]))
            self.between()

    def cell(self):
        return self.random.choice(["a", "", "é x", "\\|", "\\\\", "\\n", "\\x", "<a>", "\\", "日本", "\u00a0b", "#", "\"\"\"", "0"])

    def table(self, header=None, rows=None):
        columns = len(header) if header else self.random.randint(0, 4)
        for row in range(self.random.randint(1, 4) if rows is None else rows):
            cells = header if header and row == 0 else [self.cell() for _ in range(columns)]
            spaced = [self.random.choice(["", " ", "  "]) + cell + self.random.choice([" ", "", "\t"]) for cell in cells]
            spaced = [cell + " " if cell.endswith("\\") and not cell.endswith("\\\\") else cell for cell in spaced]
            self.line("|" + "".join(cell + "|" for cell in spaced) + self.random.choice(["", "", "", " rest", "# no comment"]))
            self.between()

    def doc(self):
        mark = self.random.choice(['"""', "```"])
        self.line(mark + self.random.choice(["", "", "json", " text/plain ", "<a>", '"']))
        for _ in range(self.random.randint(0, 4)):
            body = self.random.choice(["", "text", "  deep", "\\\"\\\"\\\"", "\\`\\`\\`", '"" "', "| a |", "@t", "# c", "Scenario: x",
                                       "    ", "\t\ttab", "<a> and <b>", "\\", "'''", "\u00a0 x"])
            self.line(self.random.choice(["", "  ", "      "]) + body)
        self.line(mark + self.random.choice(["", "", " after"]))
        self.between()

    def steps(self):
        for _ in range(self.random.randint(0, 4)):
            keyword = self.random.choice(self.words[self.random.choice(["given", "when", "then", "and", "but"])])
            self.line(keyword + self.text())
            self.between()
            order = [self.table, self.doc] if self.chance(0.5) else [self.doc, self.table]
            for argument in order:
                if self.chance(0.2):
                    argument()

    def scenario(self):
        self.tags()
        if self.chance(0.6):
            self.title("scenario")
            self.steps()
            return
        self.title("scenarioOutline")
        self.steps()
        for _ in range(self.random.randint(0, 3)):
            self.tags()
            self.title("examples")
            if self.chance(0.8):
                self.table(["a", "b", "c"][: self.random.randint(1, 3)], self.random.randint(1, 4))

    def body(self):
        if self.chance(0.4):
            self.title("background")
            self.steps()
        for _ in range(self.random.randint(0, 3)):
            self.scenario()

    def document(self):
        self.between()
        if self.name != "en" or self.chance(0.1):
            self.line(self.random.choice(["# language: ", "#language:", "  #  language : "]) + self.name)
            self.between()
        if self.chance(0.03):
            return
        self.tags()
        self.title("feature")
        self.body()
        for _ in range(self.random.choice([0, 0, 0, 1, 2])):
            self.tags()
            self.title("rule")
            self.body()

    def odd_line(self):
        words = self.words
        return self.random.choice(["oops", "@a b", "@", "| a |", "|", '"""', "```json", "Feature: again", "# language: xx", "# language: fr",
                                   words["examples"][0] + ":", words["background"][0] + ": b", words["rule"][0] + ":",
                                   words["scenario"][-1] + ": s", words["given"][-1] + "late", "@loose", "given lower", "", "* star",
                                   "\\", "| a | b | c | d | e |", "Examples", "Scenario :x"])

    def mutate(self):
        for _ in range(self.random.randint(1, 3)):
            at = self.random.randint(0, len(self.lines))
            kind = self.random.randint(0, 5)
            if kind == 0 or not self.lines:
                self.lines.insert(at, self.random.choice(["", "  "]) + self.odd_line())
            elif kind == 1:
                del self.lines[at % len(self.lines)]
            elif kind == 2:
                self.lines.insert(at, self.random.choice(self.lines))
            elif kind == 3:
                other = self.random.randrange(len(self.lines))
                at %= len(self.lines)
                self.lines[at], self.lines[other] = self.lines[other], self.lines[at]
            elif kind == 4:
                del self.lines[at:]
            else:
                at %= len(self.lines)
                text = self.lines[at]
                place = self.random.randint(0, len(text))
                self.lines[at] = text[:place] + self.random.choice(["@", "|", "#", " ", '"""', ":", "\\", "\r", "é"]) + text[place:]


def generate(seed, dialects):
    """The bytes of one file."""
    writer = Writer(seed, dialects)
    writer.document()
    if seed % 2:
        writer.mutate()
    ends = writer.random.choice(["\n", "\n", "\n", "\r\n"])
    text = ends.join(writer.lines) + writer.random.choice([ends, ends, ""])
    data = text.encode()
    return b"\xef\xbb\xbf" + data if seed % 17 == 0 else data
