/* How the platform's own programs are brought up: variables by table, description, migrations,
 * readiness over HTTP. Thread: a task or the supervisor's main. */
#ifndef STACK_SERVICES_H
#define STACK_SERVICES_H

#include "stack_world.h"

extern const struct stack_ops stack_service;
extern const struct stack_ops stack_migration;

/* Writes env/NAME.env of every service and env/stack.env, mode 0600. Errors: BV_E_IO. */
BV_MUST_CHECK int stack_write_env(const struct stack_world *world, struct bv_error *error);

/* One entry of world->settings, cut at the commas. */
struct stack_setting {
    struct bv_bytes part; /* a service, or "all" */
    struct bv_bytes key;
    struct bv_bytes value;
};
/* Takes the next entry from *rest. Outcomes: STACK_SETTINGS_END. Errors: BV_E_INVALID for a shape
 * other than PART.BV_KEY=value, or a part that is no service. */
#define STACK_SETTINGS_END 1
BV_MUST_CHECK int stack_setting_next(struct bv_bytes *rest,
                                     struct stack_setting *ret_setting,
                                     struct bv_error *error);

/* Does the service know the options that the settings set by its name (in describe.c)? Those of
 * "all" may be another service's. Reads RUN/describe/NAME.json. Errors: BV_E_INVALID names the
 * first unknown one and the nearest known, BV_E_IO, BV_E_PROTOCOL. */
BV_MUST_CHECK int stack_check_options(const struct stack_world *world,
                                      const struct stack_unit *unit,
                                      struct bv_error *error);

/* URL of a part, as stack.json shows it: "" when it has none. */
void stack_unit_url(const struct stack_world *world,
                    const struct stack_unit *unit,
                    char out[BV_PATH_MAX]);

/* GET /readyz: 0 on 200. Errors: BV_E_UNAVAILABLE with status and the beginning of the body,
 * BV_E_TIMEOUT. */
BV_MUST_CHECK int stack_probe_service(uint16_t port, int64_t deadline_ms, struct bv_error *error);

#endif
