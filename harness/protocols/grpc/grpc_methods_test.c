#include "grpc_methods.h"

#include "bv/test_stack.h"
#include <criterion/criterion.h>
#include <stdio.h>

Test(grpc_methods, are_found_by_every_form_of_their_name)
{
    static const struct {
        const char *name;
        const char *path;
    } rows[] = {
        {"Adjust",                                     "/bitvelocity.inventory.v1.Inventory/Adjust"},
        {"Inventory/Adjust",                           "/bitvelocity.inventory.v1.Inventory/Adjust"},
        {"bitvelocity.inventory.v1.Inventory/Adjust",  "/bitvelocity.inventory.v1.Inventory/Adjust"},
        {"/bitvelocity.inventory.v1.Inventory/Adjust",
         "/bitvelocity.inventory.v1.Inventory/Adjust"                                              },
        {"Watch",                                      "/bitvelocity.inventory.v1.Inventory/Watch" },
        {"Health/Watch",                               "/grpc.health.v1.Health/Watch"              },
        {"Check",                                      "/grpc.health.v1.Health/Check"              },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        struct grpc_method method = {0};
        cr_expect_eq(
            grpc_method_find(bv_bytes_of(rows[i].name), &method, NULL), 0, "%s", rows[i].name);
        cr_expect_str_eq(method.path, rows[i].path);
    }
}

Test(grpc_methods, names_the_nearest_where_there_is_none)
{
    struct grpc_method method;
    struct bv_error error = {0};
    cr_expect_eq(grpc_method_find(BV_BYTES("Ajust"), &method, &error), BV_E_NOT_FOUND);
    cr_expect_str_eq(error.text, "no gRPC method is called \"Ajust\"; did you mean \"Adjust\"?");
    error = (struct bv_error){0}; /* the first to fail keeps it */
    cr_expect_eq(grpc_method_find(BV_BYTES("Inventory/GetLevel"), &method, &error), BV_E_NOT_FOUND);
    cr_expect(strstr(error.text, "\"Inventory/GetLevels\"?") != NULL, "%s", error.text);
    cr_expect_eq(grpc_method_find(BV_BYTES(""), &method, &error), BV_E_NOT_FOUND);
    cr_expect_eq(grpc_method_find(BV_BYTES("/"), &method, &error), BV_E_NOT_FOUND);
}

static void compare(const char *file, size_t *compared)
{
    char path[512];
    char line[256];
    snprintf(path, sizeof path, "%s/contracts/proto/%s", bv_test_source_folder(), file);
    FILE *proto = fopen(path, "r");
    cr_assert_not_null(proto, "%s", path);
    char service[64] = "";
    while (fgets(line, sizeof line, proto)) {
        char name[64];
        struct grpc_method method;
        char full[160];
        (void)sscanf(line, "service %63[A-Za-z]", service);
        if (sscanf(line, " rpc %63[A-Za-z]", name) != 1)
            continue;
        snprintf(full, sizeof full, "%s/%s", service, name);
        cr_assert_eq(
            grpc_method_find(bv_bytes_of(full), &method, NULL), 0, "%s is not in the table", full);
        cr_expect_eq(
            method.shape == GRPC_SHAPE_SERVER_STREAM, strstr(line, "(stream ") != NULL, "%s", full);
        ++*compared;
    }
    fclose(proto);
}

Test(grpc_methods, are_those_of_the_contracts_and_stream_where_these_say)
{
    size_t compared = 0;
    size_t known = 0;
    struct grpc_method method;
    compare("inventory.proto", &compared);
    compare("health.proto", &compared);
    while (grpc_method_at(known, &method))
        known++;
    cr_expect_eq(compared, known);
    cr_expect_geq(known, 8);
}

Test(grpc_methods, statuses_have_the_words_of_the_specification)
{
    cr_expect_str_eq(grpc_status_word(0), "OK");
    cr_expect_str_eq(grpc_status_word(5), "NOT_FOUND");
    cr_expect_str_eq(grpc_status_word(16), "UNAUTHENTICATED");
    cr_expect_str_eq(grpc_status_word(17), "STATUS_UNKNOWN");
    cr_expect_str_eq(grpc_status_word(-1), "STATUS_UNKNOWN");
}
