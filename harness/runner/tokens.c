#include "tokens.h"

#include <pthread.h>
#include <stdlib.h>

struct token {
    char *identity; /* owned */
    char *text;     /* owned; NULL: nobody is logged in */
    bool pending;   /* somebody is logging in */
};
struct tokens {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct token list[TOKENS_MAX];
    size_t count;
    int logins; /* of TOKENS_LOGINS_MAX */
};

int tokens_open(struct tokens **ret_tokens)
{
    struct tokens *tokens = calloc(1, sizeof *tokens);
    if (!tokens)
        return BV_E_NOMEM;
    pthread_mutex_init(&tokens->lock, NULL);
    pthread_cond_init(&tokens->changed, NULL);
    *ret_tokens = tokens;
    return 0;
}

void tokens_close(struct tokens **tokens)
{
    if (!*tokens)
        return;
    for (size_t i = 0; i < (*tokens)->count; i++) {
        free((*tokens)->list[i].identity);
        free((*tokens)->list[i].text);
    }
    pthread_cond_destroy(&(*tokens)->changed);
    pthread_mutex_destroy(&(*tokens)->lock);
    free(*tokens);
    *tokens = NULL;
}

/* With the lock held: the row of identity, a new one if need be. */
static int find(struct tokens *tokens, struct bv_bytes identity, struct token **ret_token)
{
    for (size_t i = 0; i < tokens->count; i++) {
        if (bv_bytes_equal(identity, bv_bytes_of(tokens->list[i].identity))) {
            *ret_token = &tokens->list[i];
            return 0;
        }
    }
    if (tokens->count == TOKENS_MAX)
        return BV_E_LIMIT;
    char *name = strndup(identity.data, identity.size);
    if (!name)
        return BV_E_NOMEM;
    *ret_token = &tokens->list[tokens->count++];
    (*ret_token)->identity = name;
    return 0;
}

int tokens_get(struct tokens *tokens,
               struct bv_bytes identity,
               tokens_login *login,
               void *argument,
               const char **ret_token,
               struct bv_error *error)
{
    struct token *token = NULL;
    const char *text = NULL;
    pthread_mutex_lock(&tokens->lock);
    int rc = find(tokens, identity, &token);
    while (rc == 0 && token->pending)
        pthread_cond_wait(&tokens->changed, &tokens->lock);
    bool absent = rc == 0 && !token->text;
    if (absent)
        token->pending = true;
    pthread_mutex_unlock(&tokens->lock);
    if (absent)
        rc = login(argument, identity, &text, error);
    pthread_mutex_lock(&tokens->lock);
    if (absent) {
        token->pending = false;
        if (rc == 0 && !(token->text = strdup(text)))
            rc = BV_E_NOMEM;
        pthread_cond_broadcast(&tokens->changed);
    }
    if (rc == 0)
        *ret_token = token->text;
    pthread_mutex_unlock(&tokens->lock);
    return rc;
}

void tokens_enter(struct tokens *tokens)
{
    pthread_mutex_lock(&tokens->lock);
    while (tokens->logins == TOKENS_LOGINS_MAX)
        pthread_cond_wait(&tokens->changed, &tokens->lock);
    tokens->logins++;
    pthread_mutex_unlock(&tokens->lock);
}

void tokens_leave(struct tokens *tokens)
{
    pthread_mutex_lock(&tokens->lock);
    tokens->logins--;
    pthread_cond_broadcast(&tokens->changed);
    pthread_mutex_unlock(&tokens->lock);
}
