#include "forger_actor.h"

#include "forge.h"
#include "bv/config.h"
#include <libpq-fe.h>
#include <stdlib.h>

struct forger {
    const char *genuine;           /* lives as long as the lab */
    struct bv_bytes pem, alg, kid; /* arena */
};

enum { OPEN_AS };
static const struct bv_arg open_args[] = {
    {"identity", "as", BV_ARG_IDENTITY, BV_REQUIRED, "whose token it starts from"},
};

static void forger_close(struct bv_actor *actor)
{
    free(actor->state);
    actor->state = NULL;
}

static struct bv_bytes cell(struct bv_actor *actor, const PGresult *result, int column)
{
    return bv_arena_copy(
        actor->lab->arena,
        (struct bv_bytes){PQgetvalue(result, 0, column), (size_t)PQgetlength(result, 0, column)});
}

static int read_key(struct bv_actor *actor, PGconn *connection, struct bv_error *error)
{
    struct forger *forger = actor->state;
    PGresult *result =
        PQexec(connection, "SELECT pem, alg, kid FROM signing_keys WHERE retired_at IS NULL");
    int rc = BV_MISMATCH;
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) {
        (void)bv_fail(error, BV_E_NOT_FOUND, "the issuer's database has not one signing key");
    } else {
        forger->pem = cell(actor, result, 0);
        forger->alg = cell(actor, result, 1);
        forger->kid = cell(actor, result, 2);
        rc = bv_arena_failed(actor->lab->arena) ? BV_E_NOMEM : 0;
    }
    PQclear(result);
    return rc;
}

static int forger_open(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct forger *forger = actor->state = calloc(1, sizeof *forger);
    if (!forger)
        return BV_E_NOMEM;
    int rc =
        actor->lab->ops->token(actor->lab, call->values[OPEN_AS].text, &forger->genuine, error);
    if (rc != 0)
        return rc;
    const char *url = actor->lab->ops->stack_variable(actor->lab, "BV_AUTH_PG_URL");
    if (!url || !forger->genuine)
        return bv_fail(
            error, BV_E_UNAVAILABLE, "the forger needs an identity and the issuer's database");
    PGconn *connection = PQconnectdb(url);
    if (PQstatus(connection) == CONNECTION_OK) {
        rc = read_key(actor, connection, error);
    } else {
        (void)bv_fail(error, BV_E_UNAVAILABLE, "the issuer's database cannot be read");
        rc = BV_MISMATCH;
    }
    PQfinish(connection);
    return rc;
}

enum { FORGE_KIND };
/* clang-format off */
static const struct bv_arg forge_args[] = {
    {"kind", NULL, BV_ARG_TEXT, BV_REQUIRED,
     "genuine, expired, not-yet, eternal, other-issuer, other-audience, no-subject, padded, other-key, unknown-key, no-key-id, "
     "key-id-path, key-id-sql, none, hmac, tampered, unsigned"},
};
/* clang-format on */

static int forger_forge(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    const struct forger *forger = actor->state;
    struct bv_lab *lab = actor->lab;
    const struct forge_material material = {
        .genuine = bv_bytes_of(forger->genuine),
        .pem = forger->pem,
        .alg = forger->alg,
        .kid = forger->kid,
        .now_s = bv_wall_us(lab->env) / 1000000,
    };
    const char *token = NULL;
    BV_TRY(forge_token(&material, call->values[FORGE_KIND].text, lab->arena, &token, error));
    BV_TRY(bv_actor_note(actor, "forged a token: %s", call->values[FORGE_KIND].text.data));
    return lab->ops->set_variable(lab, actor, "token", bv_bytes_of(token));
}

static int forger_check(struct bv_check *check, struct bv_error *error)
{
    const struct bv_bytes wanted = check->call->values[FORGE_KIND].text;
    const char *known[64];
    const size_t count =
        forge_kind_count() < BV_COUNT(known) ? forge_kind_count() : BV_COUNT(known);
    if (!check->verb || !wanted.data)
        return 0;
    for (size_t i = 0; i < count; i++) {
        known[i] = forge_kind_at(i).name;
        if (bv_bytes_equal(wanted, bv_bytes_of(known[i])))
            return 0;
    }
    const char *near = bv_nearest(wanted.data, known, count);
    return BV_CHECK_FAIL(check,
                         BV_CHECK_ARGUMENT,
                         FORGE_KIND,
                         error,
                         "unknown forgery \"%.40s\"%s%s%s",
                         wanted.data,
                         near ? ": did you mean \"" : "",
                         near ? near : "",
                         near ? "\"?" : "");
}

static const struct bv_verb verbs[] = {
    {"forges",
     forge_args, BV_COUNT(forge_args),
     BV_TAKES_NOTHING, forger_forge,
     "makes one; it is ${NAME.token} then"},
};
static const char *const variables[] = {"token"};

const struct bv_protocol bv_protocol_forger = {
    .name = "forger",
    .summary = "bearer tokens that must be refused",
    .needs = "postgres",
    .open_args = open_args,
    .open_arg_count = BV_COUNT(open_args),
    .open = forger_open,
    .close = forger_close,
    .verbs = verbs,
    .verb_count = BV_COUNT(verbs),
    .check = forger_check,
    .variables = variables,
    .variable_count = BV_COUNT(variables),
};
