/* Shared by the reader and the printer of options; private to the config files. Thread: start. */
#ifndef BV_CONFIG_INTERNAL_H
#define BV_CONFIG_INTERNAL_H

#include "bv/config.h"

/* "http-port" to "BV_HTTP_PORT"; false (and "" in out) when it does not fit size bytes with its
 * NUL. */
bool bv_option_env_name(const char *key, char *out, size_t size);
/* Sets the field name of an error that has no detail yet. */
void bv_option_point(const struct bv_option *row, struct bv_error *error);

#endif
