/* Options of services that a story wants, as tags of its feature:
 * "@setting:notification.BV_WEBHOOK_TIMEOUT=300ms". They are given to the stack that the run
 * starts; a stack that runs already keeps its own. Pure. Thread: any. */
#ifndef BV_STORY_SETTINGS_H
#define BV_STORY_SETTINGS_H

#include "story.h"

/* Appends the settings of one file to buf, separated by commas as bv_stack_spec.settings has them;
 * one that is there already is left out.
 * Errors: BV_E_INVALID, with line: not of the form PART.BV_KEY=value; or another story of the run
 * wants another value. BV_E_TOO_LARGE past buf->max. */
BV_MUST_CHECK int story_settings(struct bv_buf *buf,
                                 const struct gherkin_document *document,
                                 const char *file,
                                 struct bv_error *error);
/* Whether each setting of the file is an option of a service: asked of the programs in folder, one
 * that is not there is not asked. Errors: BV_E_INVALID with file:line:column and the nearest known
 * word. Thread: main. */
BV_MUST_CHECK int story_settings_check(const struct gherkin_document *document,
                                       const char *file,
                                       const char *folder,
                                       const char *const *services,
                                       size_t service_count,
                                       struct bv_error *error);
/* The same for all files of a run and the programs beside this one. */
BV_MUST_CHECK int story_settings_known(const struct story *stories,
                                       size_t count,
                                       const char *const *services,
                                       size_t service_count,
                                       struct bv_error *error);
/* The settings of all files of a run behind those that are in settings (NUL-terminated) already. On
 * a stack that runs (NULL: none), says on stderr what it should have been started with. */
BV_MUST_CHECK int story_settings_all(const struct story *stories,
                                     size_t count,
                                     const char *running_stack,
                                     char *settings,
                                     size_t size,
                                     struct bv_error *error);

#endif
