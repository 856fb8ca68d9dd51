#include "redis_actor.h"

#include "bv/test_stack.h"
#include "lab.h"
#include <criterion/criterion.h>
#include <hiredis/hiredis.h>
#include <poll.h>

static struct lab lab;
static struct bv_lab_ops ops;

static const char *variable(struct bv_lab *base, const char *name)
{
    (void)base;
    return strcmp(name, "BV_REDIS_URL") == 0 ? bv_test_need("BV_TEST_REDIS_URL") : NULL;
}

static void setup(void)
{
    lab_open(&lab, NULL, &bv_protocol_redis);
    ops = *lab.lab.ops;
    ops.stack_variable = variable;
    lab.lab.ops = &ops;
    cr_assert_eq(lab_declare(&lab, LAB_WORDS(NULL)), 0, "%s", lab.error.text);
}

static void teardown(void)
{
    lab_close(&lab);
}

TestSuite(redis_actor, .init = setup, .fini = teardown, .timeout = 30);

static const char *ask(const char *command, const char *path)
{
    cr_assert_eq(
        lab_run(&lab, "asks", LAB_WORDS("command", command), NULL), 0, "%s", lab.error.text);
    return lab_probe(&lab, lab.actor.current, "json", path);
}

Test(redis_actor, replies_are_json)
{
    cr_expect_str_eq(ask("SET lab:redis-actor  seven", "$.reply"), "OK");
    cr_expect_str_eq(ask("GET lab:redis-actor", "$.reply"), "seven");
    cr_expect_str_eq(ask("EXISTS lab:redis-actor", "$.reply"), "1");
    cr_expect_str_eq(ask("MGET lab:redis-actor lab:nothing", "$.reply[0]"), "seven");
    cr_expect_str_eq(ask("GET lab:nothing", "$.reply"), "null");
}

Test(redis_actor, a_wrong_command_is_the_labs_fault)
{
    cr_expect_eq(lab_run(&lab, "asks", LAB_WORDS("command", "NOSUCH x"), NULL), BV_E_INVALID);
    cr_expect_eq(lab_run(&lab, "asks", LAB_WORDS("command", "  "), NULL), BV_E_INVALID);
}

Test(redis_actor, a_connection_that_redis_ended_meanwhile_is_made_again)
{
    const redisContext *context = lab.actor.state;
    struct pollfd end = {context->fd, POLLRDHUP, 0};
    cr_expect_str_eq(ask("CLIENT KILL TYPE normal SKIPME no", "$.reply"), "1");
    cr_assert_eq(poll(&end, 1, LAB_WAIT_MS), 1, "Redis ends it after the answer");
    cr_expect_str_eq(ask("PING", "$.reply"), "PONG");
}

Test(redis_actor, a_server_that_does_not_answer_is_red_in_time_and_asked_again)
{
    lab.lab.timeout_ms = 50;
    cr_expect_eq(lab_run(&lab, "asks", LAB_WORDS("command", "BLPOP lab:nobody-pushes 5"), NULL),
                 BV_MISMATCH);
    lab.lab.timeout_ms = LAB_WAIT_MS;
    cr_expect_str_eq(ask("PING", "$.reply"), "PONG");
}

Test(redis_actor, a_password_is_not_recorded)
{
    (void)!lab_run(&lab, "asks", LAB_WORDS("command", "auth hunter2"), NULL);
    for (uint64_t id = 1; id <= bv_recording_last(lab.lab.recording); id++) {
        const struct bv_message *message = bv_recording_at(lab.lab.recording, id);
        cr_expect(!memmem(message->body.data, message->body.size, "hunter2", 7));
        cr_expect(!memmem(message->summary.data, message->summary.size, "hunter2", 7));
    }
}
