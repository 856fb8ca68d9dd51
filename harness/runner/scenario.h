/* The command `bv scenario`. */
#ifndef BV_SCENARIO_H
#define BV_SCENARIO_H

/* Effect: as `bv scenario --help` says. Outcomes: exit status 0 all passed, 1 a check failed, 2 the
 * lab itself failed, with one sentence on stderr. Thread: main, before other threads exist. */
int bv_scenario_main(int argc, char **argv);

#endif
