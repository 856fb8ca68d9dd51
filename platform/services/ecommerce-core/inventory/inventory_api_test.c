#include "inventory_service.h"

#include "inventory.pb-c.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(inventory_api, lists_the_methods_of_the_contract_with_their_messages)
{
    const ProtobufCServiceDescriptor *service = &bitvelocity__inventory__v1__inventory__descriptor;
    cr_assert_eq(service->n_methods, inventory_method_count);
    for (unsigned i = 0; i < service->n_methods; i++) {
        char path[128];
        const struct bv_grpc_method *found = NULL;
        snprintf(path, sizeof path, "/%s/%s", service->name, service->methods[i].name);
        for (size_t k = 0; k < inventory_method_count; k++)
            if (strcmp(inventory_methods[k].path, path) == 0)
                found = &inventory_methods[k];
        cr_assert_not_null(found, "%s has no row", path);
        cr_expect_eq(found->request, service->methods[i].input, "%s", path);
        cr_expect_eq(found->reply, service->methods[i].output, "%s", path);
    }
}
