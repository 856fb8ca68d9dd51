/* A scripted HTTP peer for tests, on the test's own loop: it reads whole requests and answers with
 * prepared bytes, politely or not. Every request takes the next answer of the script; the last one
 * repeats. Thread: loop. */
#ifndef FAKE_PEER_H
#define FAKE_PEER_H

#include "bv/loop.h"

enum fake_end {
    FAKE_KEEP,   /* the connection stays open */
    FAKE_CLOSE,  /* closed after the bytes */
    FAKE_RESET,  /* RST after the bytes */
    FAKE_SILENT, /* the bytes, then nothing more, though the answer is not complete */
};
struct fake_answer {
    const char *text; /* the bytes, "" for none */
    enum fake_end end;
};
struct fake_peer;

/* Listens on 127.0.0.1, any free port. script is borrowed. */
BV_MUST_CHECK int fake_peer_open(struct bv_loop *loop,
                                 const struct fake_answer *script,
                                 size_t count,
                                 struct fake_peer **ret_peer);
void fake_peer_close(struct fake_peer **peer);
/* Stops listening and closes all connections: what follows is refused. */
void fake_peer_vanish(struct fake_peer *peer);
int fake_peer_port(const struct fake_peer *peer);
const char *fake_peer_url(struct fake_peer *peer, const char *path); /* valid until the next call */
size_t fake_peer_requests(const struct fake_peer *peer);
size_t fake_peer_connections(const struct fake_peer *peer);
/* Request number index (from 0, at most 16 are kept): head with its empty line, then the body.
 * NUL-terminated; "" when there is none. */
struct bv_bytes fake_peer_request(const struct fake_peer *peer, size_t index);
struct bv_bytes fake_peer_body(const struct fake_peer *peer, size_t index);
/* Called after each request was answered. */
void fake_peer_on_request(struct fake_peer *peer, void (*function)(void *argument), void *argument);

#endif
