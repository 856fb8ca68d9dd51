#include "gherkin.h"

#include <criterion/criterion.h>

static struct bv_arena *arena;
static struct gherkin_error error;

static void setup(void)
{
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
}

static void teardown(void)
{
    bv_arena_close(&arena);
}

TestSuite(gherkin, .init = setup, .fini = teardown);

static const struct gherkin_document *parse(const char *text)
{
    const struct gherkin_document *document = NULL;
    int rc = gherkin_parse(arena, bv_bytes_of(text), &document, &error);
    cr_assert_eq(rc, 0, "%u:%u: %s", error.at.line, error.at.column, error.text);
    return document;
}

static void refuses(const char *text, uint32_t line, uint32_t column, const char *what)
{
    const struct gherkin_document *document = NULL;
    cr_assert_eq(gherkin_parse(arena, bv_bytes_of(text), &document, &error), BV_E_INVALID);
    cr_expect_eq(error.at.line, line, "line %u: %s", error.at.line, error.text);
    cr_expect_eq(error.at.column, column, "column %u: %s", error.at.column, error.text);
    cr_expect(strstr(error.text, what), "%s", error.text);
}

static void is(struct bv_bytes actual, const char *wanted)
{
    cr_expect(bv_bytes_equal(actual, bv_bytes_of(wanted)),
              "got \"%.*s\", wanted \"%s\"",
              BV_ARG(actual),
              wanted);
}

Test(gherkin, reads_feature_scenario_and_steps_with_places)
{
    const struct gherkin_document *d =
        parse("@x\nFeature: The shop \n\n  Scenario: buys\n    Given a  \n    * b\n");
    is(d->feature.name, "The shop");
    is(d->feature.tags.list[0].name, "@x");
    cr_assert_eq(d->feature.scenario_count, 1);
    const struct gherkin_scenario *s = d->feature.scenarios;
    is(s->name, "buys");
    cr_assert_eq(s->step_count, 2);
    is(s->steps[0].text, "a");
    is(s->steps[0].keyword, "Given ");
    cr_expect_eq(s->steps[0].at.line, 5);
    cr_expect_eq(s->steps[0].at.column, 5);
    cr_expect_eq(s->steps[1].type, GHERKIN_UNKNOWN);
}

Test(gherkin, doc_string_loses_its_indentation_and_escapes)
{
    const struct gherkin_document *d =
        parse("Feature: f\n Scenario: s\n  Given a\n    \"\"\"json\n    {\n      \\\"\\\"\\\"\n   "
              "}\n\n    \"\"\"\n  Then b\n");
    const struct gherkin_step *step = d->feature.scenarios[0].steps;
    is(step[0].doc.media_type, "json");
    is(step[0].doc.content, "{\n  \"\"\"\n}\n");
    is(step[1].text, "b");
}

Test(gherkin, other_delimiter_is_text_inside_a_doc_string)
{
    const struct gherkin_document *d =
        parse("Feature: f\n Scenario: s\n  Given a\n  ```\n  \"\"\"\n  Scenario: no\n  ```\n");
    is(d->feature.scenarios[0].steps[0].doc.content, "\"\"\"\nScenario: no");
}

Test(gherkin, cells_are_trimmed_and_unescaped)
{
    const struct gherkin_document *d = parse("Feature: f\n Scenario: s\n  Given a\n  | a\\|b |  | "
                                             "c\\nd\\\\ |\n\n  # between\n  | 1 | 2 | 3 |\n");
    const struct gherkin_table *table = &d->feature.scenarios[0].steps[0].table;
    cr_assert_eq(table->count, 2);
    cr_assert_eq(table->rows[0].count, 3);
    is(table->rows[0].cells[0].value, "a|b");
    is(table->rows[0].cells[1].value, "");
    is(table->rows[0].cells[2].value, "c\nd\\");
    cr_expect_eq(d->comment_count, 1);
}

Test(gherkin, outline_has_examples_with_tags)
{
    const struct gherkin_document *d =
        parse("Feature: f\n Scenario Outline: s <a>\n  Given <a>\n\n @big\n Examples: e\n  | a |\n "
              " | 1 |\n  | 2 |\n @next\n Scenario: t\n");
    cr_assert_eq(d->feature.scenario_count, 2);
    const struct gherkin_scenario *s = d->feature.scenarios;
    cr_assert_eq(s->example_count, 1);
    is(s->examples[0].tags.list[0].name, "@big");
    cr_expect_eq(s->examples[0].table.count, 3);
    is(s[1].tags.list[0].name, "@next");
}

Test(gherkin, rules_hold_their_background_and_scenarios)
{
    const struct gherkin_document *d =
        parse("Feature: f\n Background:\n  Given a\n Scenario: s\n @r\n Rule: one\n  Background:\n "
              "  Given b\n  Example: t\n Rule: two\n  why\n");
    cr_assert_eq(d->rule_count, 2);
    cr_assert_not_null(d->feature.background);
    is(d->rules[0].tags.list[0].name, "@r");
    cr_assert_not_null(d->rules[0].background);
    cr_expect_eq(d->rules[0].scenario_count, 1);
    is(d->rules[1].description, "  why");
}

Test(gherkin, description_keeps_what_is_no_keyword_there)
{
    const struct gherkin_document *d = parse("Feature: f\n  Given is prose here\n\n  | so is this "
                                             "|\n\n Scenario: s\n  | and this\n  Given a\n");
    is(d->feature.description, "  Given is prose here\n\n  | so is this |");
    is(d->feature.scenarios[0].description, "  | and this");
}

Test(gherkin, tags_end_at_a_comment)
{
    const struct gherkin_document *d = parse("@a @b#c #d @e\nFeature: f\n");
    cr_assert_eq(d->feature.tags.count, 2);
    is(d->feature.tags.list[1].name, "@b#c");
    cr_expect_eq(d->feature.tags.list[1].at.column, 4);
    d = parse("@ a@ @b\nFeature: f\n");
    cr_assert_eq(d->feature.tags.count, 3);
    is(d->feature.tags.list[0].name, "@a");
    is(d->feature.tags.list[1].name, "@");
    cr_expect_eq(d->feature.tags.list[2].at.column, 6);
}

Test(gherkin, reads_byte_order_mark_and_crlf)
{
    const struct gherkin_document *d = parse("\xef\xbb\xbf"
                                             "Feature: f\r\n Scenario: s\r\n  Given a\r\n");
    is(d->feature.scenarios[0].steps[0].text, "a");
}

Test(gherkin, file_without_feature_is_an_empty_document)
{
    cr_expect_eq(parse("\n# only a comment\n")->feature.at.line, 0);
    cr_expect_eq(parse("")->feature.at.line, 0);
}

Test(gherkin, counts_columns_in_characters)
{
    const struct gherkin_document *d =
        parse("Feature: f\n Scenario: s\n  Given a\n  | \xc3\xa9\xc3\xa9 | b |\n");
    cr_expect_eq(d->feature.scenarios[0].steps[0].table.rows[0].cells[1].at.column, 10);
}

Test(gherkin, refuses_with_place_and_reason)
{
    refuses("Feture: x\n", 1, 1, "expected end of file, language, tag, Feature:");
    refuses("Feature: f\n Scenario: s\n  Given a\n  oops\n", 4, 3, "got \"oops\"");
    refuses("Feature: f\n Scenario: s\n  Given a\n  | a |\n  | a | b |\n",
            5,
            3,
            "inconsistent cell count");
    refuses("Feature: f\n Scenario: s\n  Given a\n  \"\"\"\n  x\n", 6, 1, "line 4 is not closed");
    refuses("@a b\nFeature: f\n", 1, 1, "white space");
    refuses("Feature: f\n@a\n", 3, 1, "end of file");
    refuses("Feature: f\n@a\nBackground:\n", 3, 1, "Background");
    refuses(" # language: xx\nFeature: f\n", 1, 2, "Language not supported: xx");
    refuses("# language: fr\nFeature: f\n", 2, 1, "expected tag, Feature:");
    refuses("# language: en\n", 2, 1, "end of file");
    refuses("Feature: f\n Scenario: s\n  Given a\n  | a |\n  |\n oops\n", 6, 2, "oops");
    refuses("Feature: f\n Background:\n  Given a\n  Examples:\n", 4, 3, "Examples:");
    refuses("Feature: \xff\n", 1, 1, "UTF-8");
}

Test(gherkin, a_step_may_have_a_table_and_a_doc_string_once_each)
{
    const struct gherkin_document *d =
        parse("Feature: f\n Scenario: s\n  Given a\n  \"\"\"\n  x\n  \"\"\"\n  | a |\n  Then b\n  "
              "| a |\n  \"\"\"\n  \"\"\"\n");
    const struct gherkin_step *steps = d->feature.scenarios[0].steps;
    cr_expect(steps[0].table.count == 1 && steps[0].doc.at.line == 4);
    cr_expect(steps[1].table.count == 1 && steps[1].doc.at.line == 10);
    refuses("Feature: f\n Scenario: s\n  Given a\n  \"\"\"\n  \"\"\"\n  \"\"\"\n", 6, 3, "got");
}

Test(gherkin, white_space_beyond_ascii_is_trimmed)
{
    const struct gherkin_document *d =
        parse("Feature: f\xc2\xa0\n Scenario: s\n  Given a\n  |\xc2\xa0 \tred\xe3\x80\x80|\n");
    is(d->feature.name, "f");
    is(d->feature.scenarios[0].steps[0].table.rows[0].cells[0].value, "red");
    cr_expect_eq(d->feature.scenarios[0].steps[0].table.rows[0].cells[0].at.column, 7);
}

Test(gherkin, the_language_line_is_no_comment)
{
    cr_expect_eq(parse("# language: en\n# language: en\nFeature: f\n")->comment_count, 1);
}

Test(gherkin, reads_the_words_of_other_languages)
{
    const struct gherkin_document *d =
        parse("# language: de\nFunktionalit\xc3\xa4t: f\n Szenario: s\n  Angenommen a\n  Und b\n");
    is(d->language, "de");
    is(d->feature.scenarios[0].steps[0].keyword, "Angenommen ");
    cr_expect_eq(d->feature.scenarios[0].steps[1].type, GHERKIN_CONJUNCTION);
    d = parse("# language: tr\n\xc3\x96zellik: f\nMevcut Durum:\nMevcut Durum: x\n");
    cr_assert_eq(d->feature.background->step_count, 0 + 1);
    is(d->feature.background->steps[0].keyword, "Mevcut ");
}

Test(gherkin, a_comment_begins_the_description)
{
    is(parse("Feature: f\n\n  # c\n\n  about\n\n")->feature.description, "\n  about");
}

Test(gherkin, prints_what_parses_to_the_same_print)
{
    static const char text[] =
        "@a\nFeature: f\n  about\n\n  Scenario Outline: s\n    Given a\n      | x\\|y |\n    When "
        "b\n      \"\"\"json\n      {}\n      \"\"\"\n\n    Examples:\n      | a |\n";
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 65536};
    cr_assert_eq(gherkin_print(&buf, parse(text)), 0);
    is(bv_buf_view(&buf), text);
}
