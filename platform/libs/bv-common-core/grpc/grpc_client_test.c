#include "bv/grpc.h"
#include "peer.pb-c.h"

#include <criterion/criterion.h>

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

struct seen {
    struct bv_loop *loop;
    unsigned done;
    int rc;
};

static void
on_done(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error)
{
    struct seen *seen = argument;
    cr_assert(!reply);
    cr_assert_eq(error->code, rc);
    seen->done++;
    seen->rc = rc;
    bv_loop_stop(seen->loop);
}

static void on_message(void *argument, const ProtobufCMessage *reply)
{
    (void)argument;
    (void)reply;
    cr_assert(false, "nobody could have sent this");
}

static struct bv_grpc_client *client_to_nowhere(struct seen *seen, int64_t calls_max)
{
    struct bv_grpc_client *client = NULL;
    struct bv_grpc_client_config config = {"127.0.0.1:1", calls_max, 1000};
    cr_assert_eq(bv_loop_open(&env, &seen->loop), 0);
    cr_assert_eq(bv_grpc_client_open(seen->loop, &config, &client), 0);
    return client;
}

static Bitvelocity__Peer__V1__MetaRequest meta = BITVELOCITY__PEER__V1__META_REQUEST__INIT;
static const struct bv_grpc_request request = {.path = "/bitvelocity.peer.v1.Peer/Meta",
                                               .message = &meta.base,
                                               .reply =
                                                   &bitvelocity__peer__v1__meta_reply__descriptor,
                                               .timeout_ms = 5000};

Test(grpc_client, says_unavailable_when_nobody_listens)
{
    struct seen seen = {0};
    struct bv_grpc_client *client = client_to_nowhere(&seen, 10);
    cr_assert_eq(bv_grpc_send(client, &request, on_done, &seen), 0);
    cr_assert_eq(bv_loop_run(seen.loop), 0);
    cr_expect_eq(seen.rc, BV_E_UNAVAILABLE);
    bv_grpc_client_close(&client);
    bv_loop_close(&seen.loop);
}

Test(grpc_client, ends_calls_and_streams_in_flight_when_closed)
{
    struct seen seen = {0};
    struct bv_grpc_client *client = client_to_nowhere(&seen, 10);
    struct bv_grpc_stream *stream = NULL;
    cr_assert_eq(bv_grpc_send(client, &request, on_done, &seen), 0);
    cr_assert_eq(bv_grpc_stream_open(client, &request, on_message, on_done, &seen, &stream), 0);
    bv_grpc_client_close(&client);
    cr_expect_null(client);
    cr_expect_eq(seen.done, 2);
    cr_expect_eq(seen.rc, BV_E_CANCELLED);
    bv_loop_close(&seen.loop);
}

Test(grpc_client, refuses_calls_over_its_limit)
{
    struct seen seen = {0};
    struct bv_grpc_client *client = client_to_nowhere(&seen, 1);
    cr_assert_eq(bv_grpc_send(client, &request, on_done, &seen), 0);
    cr_expect_eq(bv_grpc_send(client, &request, on_done, &seen), BV_E_LIMIT);
    bv_grpc_client_close(&client);
    cr_expect_eq(seen.done, 1);
    bv_loop_close(&seen.loop);
}

Test(grpc_client, refuses_metadata_that_no_header_can_carry)
{
    struct seen seen = {0};
    struct bv_grpc_client *client = client_to_nowhere(&seen, 1);
    struct bv_grpc_request bad = request;
    bad.correlation_id = BV_BYTES("line\nbreak");
    cr_expect_eq(bv_grpc_send(client, &bad, on_done, &seen), BV_E_INVALID);
    cr_expect_eq(
        bv_grpc_send(client, &request, on_done, &seen), 0, "the refused call left its place");
    bv_grpc_client_close(&client);
    bv_loop_close(&seen.loop);
}
