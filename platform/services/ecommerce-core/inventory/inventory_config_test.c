#include "inventory_config.h"
#include "inventory_core.h"

#include "bv/test_stack.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* What the README prints of our tables is what the tables say. On failure: the text to paste. */

static char *readme(void)
{
    char path[512];
    snprintf(path,
             sizeof path,
             "%s/platform/services/ecommerce-core/inventory/README.md",
             bv_test_source_folder());
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    char *text = calloc(1, 65536);
    cr_assert_lt(fread(text, 1, 65535, file), 65535);
    fclose(file);
    return text;
}

static void expect_in_readme(struct bv_buf *part)
{
    char *text = readme();
    bv_buf_char(part, '\0');
    cr_expect(strstr(text, part->data), "README.md is stale, it should hold:\n%s", part->data);
    free(text);
    bv_buf_release(part);
}

Test(inventory_readme, prints_the_lifecycle)
{
    struct bv_buf part = {.max = 65536};
    bv_buf_text(&part,
                "| from | on | to | effect on each line | answer |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < BV_COUNT(inventory_transitions); i++) {
        const struct inventory_transition *row = &inventory_transitions[i];
        bv_buf_format(&part,
                      "| %s | %s | %s | %s | %s |\n",
                      inventory_state_names[row->from],
                      inventory_event_names[row->on],
                      inventory_state_names[row->to],
                      inventory_effect_names[row->effect],
                      inventory_answer_names[row->answer]);
    }
    expect_in_readme(&part);
}

Test(inventory_readme, prints_the_options)
{
    struct inventory_config config;
    struct bv_option_set set = {inventory_options, INVENTORY_OPTION_COUNT, &config};
    struct bv_buf part = {.max = 65536};
    cr_assert_eq(bv_config_markdown(&part, &set, 1), 0);
    expect_in_readme(&part);
}
