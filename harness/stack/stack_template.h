/* Templates that are dear to make and cheap to copy: built once per version into the cache, then
 * copied or read by every stack. Invariant: a template appears whole (built aside under a lock,
 * then renamed) and never changes. Thread: a task; blocks. */
#ifndef STACK_TEMPLATE_H
#define STACK_TEMPLATE_H

#include "stack_world.h"

/* Folder of the template key below the place's templates/, built when it is missing. build gets an
 * empty folder that belongs to the servers' user. Two stacks at once: one builds, the other waits.
 * Errors: BV_E_IO and those of build. */
BV_MUST_CHECK int stack_template(const struct stack_world *world,
                                 const char *key,
                                 int (*build)(const struct stack_world *world,
                                              const char *folder,
                                              struct bv_error *error),
                                 char ret_folder[BV_PATH_MAX],
                                 struct bv_error *error);

/* Whether the template key is there already. */
bool stack_template_present(const struct stack_world *world, const char *key);

/* The jars' folder as the servers' user can read it: the cache's own, or hard links in the place.
 * Errors: BV_E_IO. */
BV_MUST_CHECK int
stack_jars(const struct stack_world *world, char ret_folder[BV_PATH_MAX], struct bv_error *error);

#endif
