/* One canonical layout: two spaces per level, tags on one line above what they tag, comments left
 * out. */
#include "gherkin_line.h"

static void line(struct bv_buf *buf,
                 int indent,
                 struct bv_bytes keyword,
                 const char *between,
                 struct bv_bytes text)
{
    (void)bv_buf_format(buf, "%*s%.*s%s", indent, "", BV_ARG(keyword), between);
    (void)bv_buf_bytes(buf, text); /* may hold NUL */
    (void)bv_buf_char(buf, '\n');
}

static void print_tags(struct bv_buf *buf, int indent, struct gherkin_tags tags)
{
    for (size_t i = 0; i < tags.count; i++) {
        (void)bv_buf_format(buf, "%*s", i ? 1 : indent, "");
        (void)bv_buf_bytes(buf, tags.list[i].name);
    }
    if (tags.count)
        (void)bv_buf_char(buf, '\n');
}

static void print_title(struct bv_buf *buf,
                        int indent,
                        struct gherkin_tags tags,
                        struct bv_bytes keyword,
                        struct bv_bytes name,
                        struct bv_bytes description)
{
    const char *next;
    if (buf->size)
        (void)bv_buf_char(buf, '\n');
    print_tags(buf, indent, tags);
    line(buf, indent, keyword, name.size ? ": " : ":", name);
    while ((next = memchr(description.data, '\n', description.size)) &&
           !gherkin_trim((struct bv_bytes){description.data, (size_t)(next - description.data)})
                .size) /* kept only by a comment, and none is printed */
        description = gherkin_skip(description, (size_t)(next + 1 - description.data));
    if (gherkin_trim(description).size) {
        (void)bv_buf_bytes(buf, description);
        (void)bv_buf_char(buf, '\n');
    }
}

static void print_table(struct bv_buf *buf, int indent, const struct gherkin_table *table)
{
    for (size_t r = 0; r < table->count; r++) {
        (void)bv_buf_format(buf, "%*s|", indent, "");
        for (size_t c = 0; c < table->rows[r].count; c++) {
            struct bv_bytes value = table->rows[r].cells[c].value;
            (void)bv_buf_char(buf, ' ');
            for (size_t i = 0; i < value.size; i++) {
                if (strchr("\\|\n", value.data[i]) && value.data[i])
                    (void)bv_buf_char(buf, '\\');
                (void)bv_buf_char(buf, value.data[i] == '\n' ? 'n' : value.data[i]);
            }
            (void)bv_buf_text(buf, " |");
        }
        (void)bv_buf_char(buf, '\n');
    }
}

static void print_doc(struct bv_buf *buf, int indent, const struct gherkin_doc_string *doc)
{
    const char mark[4] = {doc->delimiter, doc->delimiter, doc->delimiter, '\0'};
    struct bv_bytes rest = doc->content;
    (void)bv_buf_format(buf, "%*s%s", indent, "", mark);
    (void)bv_buf_bytes(buf, doc->media_type);
    (void)bv_buf_format(buf, "\n%*s", indent, "");
    while (rest.size) {
        if (rest.size >= 3 && memcmp(rest.data, mark, 3) == 0) {
            for (int i = 0; i < 3; i++)
                (void)bv_buf_format(buf, "\\%c", doc->delimiter);
            rest = (struct bv_bytes){rest.data + 3, rest.size - 3};
            continue;
        }
        (void)bv_buf_char(buf, rest.data[0]);
        if (rest.data[0] == '\n')
            (void)bv_buf_format(buf, "%*s", indent, "");
        rest = (struct bv_bytes){rest.data + 1, rest.size - 1};
    }
    (void)bv_buf_format(buf, "\n%*s%s\n", indent, "", mark);
}

static void print_scenario(struct bv_buf *buf, int indent, const struct gherkin_scenario *scenario)
{
    print_title(
        buf, indent, scenario->tags, scenario->keyword, scenario->name, scenario->description);
    for (size_t i = 0; i < scenario->step_count; i++) {
        const struct gherkin_step *step = &scenario->steps[i];
        line(buf, indent + 2, step->keyword, "", step->text);
        if (step->table.count)
            print_table(buf, indent + 4, &step->table);
        if (step->doc.at.line)
            print_doc(buf, indent + 4, &step->doc);
    }
    for (size_t i = 0; i < scenario->example_count; i++) {
        const struct gherkin_examples *examples = &scenario->examples[i];
        print_title(buf,
                    indent + 2,
                    examples->tags,
                    examples->keyword,
                    examples->name,
                    examples->description);
        print_table(buf, indent + 4, &examples->table);
    }
}

static void print_rule(struct bv_buf *buf, int indent, const struct gherkin_rule *rule)
{
    print_title(buf, indent, rule->tags, rule->keyword, rule->name, rule->description);
    if (rule->background)
        print_scenario(buf, indent + 2, rule->background);
    for (size_t i = 0; i < rule->scenario_count; i++)
        print_scenario(buf, indent + 2, &rule->scenarios[i]);
}

int gherkin_print(struct bv_buf *buf, const struct gherkin_document *document)
{
    if (document->feature.at.line && !bv_bytes_equal(document->language, BV_BYTES("en")))
        (void)bv_buf_format(buf, "# language: %.*s\n", BV_ARG(document->language));
    if (document->feature.at.line)
        print_rule(buf, 0, &document->feature);
    for (size_t i = 0; i < document->rule_count; i++)
        print_rule(buf, 2, &document->rules[i]);
    return buf->failed ? BV_E_TOO_LARGE : 0;
}
