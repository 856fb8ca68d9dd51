/* Input: a feature file, planned with the tables of all protocols and the contracts. Properties: it
 * is refused exactly when there are diagnostics, each with a line of the file and a text; what is
 * planned has an actor and its tables in every step; printed by gherkin_print and planned again it
 * has the same scenarios with as many steps. */
#include "protocols.h"

#include "gherkin.h"
#include "plan.h"

#include "fuzz.h"

static const struct plan_tables *tables(void)
{
    static const char *const services[] = {"auth", "product", "order", "inventory", "notification"};
    static struct plan_tables t;
    if (!t.protocols) {
        t = (struct plan_tables){.protocols = runner_protocols,
                                 .protocol_count = runner_protocol_count,
                                 .services = services,
                                 .service_count = BV_COUNT(services)};
        FUZZ_REQUIRE(contracts_open(BV_CONTRACTS, &t.contracts, NULL) == 0);
    }
    return &t;
}

static void check_diagnostics(const struct plan *plan, struct bv_bytes text)
{
    uint32_t lines = 1; /* the end of the file counts as one more, as in Cucumber */
    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n' || text.data[i] == '\r';
    FUZZ_REQUIRE(plan->diagnostic_count <= PLAN_DIAGNOSTICS_MAX);
    for (size_t i = 0; i < plan->diagnostic_count; i++)
        FUZZ_REQUIRE(plan->diagnostics[i].text[0] && plan->diagnostics[i].line <= lines + 1);
}

static const struct plan *make(struct bv_arena *arena, struct bv_bytes text)
{
    struct plan *plan = NULL;
    const int rc = plan_make(arena, tables(), "fuzz.feature", text, &plan);
    FUZZ_REQUIRE(rc == 0 || rc == PLAN_REFUSED || bv_arena_failed(arena));
    if (rc < 0)
        return NULL;
    FUZZ_REQUIRE((rc == PLAN_REFUSED) == (plan->diagnostic_count > 0));
    check_diagnostics(plan, text);
    return rc == 0 ? plan : NULL;
}

static void check_steps(const struct plan_scenario *scenario)
{
    for (size_t i = 0; i < scenario->step_count; i++) {
        const struct plan_step *step = &scenario->steps[i];
        FUZZ_REQUIRE(step->line > 0 && step->source);
        FUZZ_REQUIRE(step->kind != PLAN_VERB || (step->verb && step->actor && step->protocol));
        FUZZ_REQUIRE(step->filter_count <= PLAN_FILTERS_MAX);
        for (size_t k = 0; k < step->filter_count; k++)
            FUZZ_REQUIRE(step->filters[k].probe && step->filters[k].op < BV_OP_COUNT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    bv_auto(bv_buf_release) struct bv_buf printed = {.max = 16 << 20};
    if (size > 16384 || bv_arena_open((size_t)256 << 20, &arena) < 0)
        return 0;
    const struct plan *plan = make(arena, fuzz_bytes(data, size));
    if (!plan || gherkin_print(&printed, plan->document) != 0)
        return 0;
    const struct plan *again = make(arena, bv_buf_view(&printed));
    FUZZ_REQUIRE(again && again->scenario_count == plan->scenario_count);
    for (size_t i = 0; i < plan->scenario_count; i++) {
        check_steps(&plan->scenarios[i]);
        FUZZ_REQUIRE(plan->scenarios[i].step_count == again->scenarios[i].step_count);
        FUZZ_REQUIRE(plan->scenarios[i].tag_count == again->scenarios[i].tag_count);
    }
    return 0;
}
