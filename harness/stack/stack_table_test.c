#include "stack_table.h"

#include <criterion/criterion.h>
#include <stdio.h>

static bool has(const struct bv_stack_needs *needs, const char *name)
{
    for (size_t i = 0; i < needs->count; i++)
        if (strcmp(needs->names[i], name) == 0)
            return true;
    return false;
}

static struct bv_stack_needs needs_of(const char *name)
{
    struct bv_stack_needs needs;
    cr_assert_eq(bv_stack_resolve(&name, 1, &needs, NULL), 0);
    return needs;
}

Test(table, a_server_needs_only_itself)
{
    for (size_t i = 0; i < stack_row_count; i++)
        if (stack_rows[i].kind == BV_STACK_SERVER)
            cr_expect_eq(needs_of(stack_rows[i].name).count, 1);
}

Test(table, auth_needs_postgres_and_nothing_more)
{
    const struct bv_stack_needs needs = needs_of("auth");
    cr_assert_eq(needs.count, 2);
    cr_assert(has(&needs, "postgres") && has(&needs, "auth"));
    cr_assert_eq(needs.ports, 2);
}

Test(table, order_brings_its_peers_and_their_servers)
{
    const struct bv_stack_needs needs = needs_of("order");
    cr_assert(has(&needs, "inventory") && has(&needs, "product") && has(&needs, "auth"));
    cr_assert(has(&needs, "redis"), "product's server");
    cr_assert_not(has(&needs, "notification"));
}

Test(table, no_wish_means_everything)
{
    struct bv_stack_needs needs;
    cr_assert_eq(bv_stack_resolve(NULL, 0, &needs, NULL), 0);
    cr_assert_eq(needs.count, stack_row_count);
    cr_assert_lt(needs.memory_mb, 600);
}

Test(table, an_unknown_part_is_refused_with_the_nearest_known)
{
    const char *wrong = "notificatoin";
    struct bv_stack_needs needs;
    struct bv_error error = {0};
    cr_assert_eq(bv_stack_resolve(&wrong, 1, &needs, &error), BV_E_INVALID);
    cr_assert_not_null(strstr(error.text, "did you mean 'notification'"), "%s", error.text);
}

Test(table, gates_are_servers_peers_are_services_and_come_as_rows)
{
    for (size_t i = 0; i < stack_row_count; i++) {
        for (size_t g = 0; g < STACK_GATES_MAX && stack_rows[i].gates[g]; g++) {
            const struct stack_row *gate = stack_row_find(stack_rows[i].gates[g]);
            cr_assert_not_null(gate);
            cr_assert_eq(gate->kind, BV_STACK_SERVER);
            cr_assert_lt(gate, &stack_rows[i], "start order is table order");
        }
        for (size_t p = 0; p < STACK_PEERS_MAX && stack_rows[i].peers[p]; p++) {
            const struct stack_row *peer = stack_row_find(stack_rows[i].peers[p]);
            cr_assert_not_null(peer);
            cr_assert_eq(peer->kind, BV_STACK_SERVICE);
        }
    }
}

static bool reaches(const struct stack_row *row, enum stack_source source, const char *of)
{
    const char *server = source == STACK_PG      ? "postgres"
                         : source == STACK_REDIS ? "redis"
                         : source == STACK_KAFKA ? "kafka"
                                                 : NULL;
    if (!server && source != STACK_URL && source != STACK_GRPC_ADDR)
        return true;
    for (size_t i = 0; server && i < STACK_GATES_MAX && row->gates[i]; i++)
        if (strcmp(row->gates[i], server) == 0)
            return true;
    if (!server && strcmp(of, row->name) == 0)
        return true;
    for (size_t i = 0; !server && i < STACK_PEERS_MAX && row->peers[i]; i++)
        if (strcmp(row->peers[i], of) == 0)
            return true;
    return false;
}

Test(table, each_variable_names_something_the_row_needs)
{
    for (size_t i = 0; i < stack_row_count; i++)
        for (size_t v = 0; v < stack_rows[i].variable_count; v++) {
            const struct stack_variable *variable = &stack_rows[i].variables[v];
            cr_expect(reaches(&stack_rows[i], variable->source, variable->of),
                      "%s of %s",
                      variable->key,
                      stack_rows[i].name);
            if (variable->source == STACK_PG)
                cr_expect_str_eq(variable->of, stack_rows[i].database);
        }
}

Test(table, fixed_ports_differ_and_lie_below_those_of_clients)
{
    for (size_t i = 0; i < stack_row_count * STACK_PORTS; i++) {
        uint16_t port = stack_rows[i / STACK_PORTS].fixed[i % STACK_PORTS];
        cr_expect(port == 0 || (port >= 10000 && port < 32768));
        for (size_t j = 0; j < i; j++)
            cr_expect(port == 0 || port != stack_rows[j / STACK_PORTS].fixed[j % STACK_PORTS]);
    }
}

Test(table, every_topic_has_a_dead_letter_topic_with_one_partition)
{
    for (size_t i = 0; i < stack_topic_count; i++) {
        if (strstr(stack_topics[i].name, ".dlq"))
            continue;
        char name[128];
        size_t found = 0;
        snprintf(name, sizeof name, "%s.dlq", stack_topics[i].name);
        for (size_t j = 0; j < stack_topic_count; j++)
            found += strcmp(stack_topics[j].name, name) == 0 && stack_topics[j].partitions == 1;
        cr_expect_eq(found, 1, "%s", name);
    }
}
