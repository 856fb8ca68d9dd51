#include "auth_core.h"

#define USERNAME_BYTES_MIN 3
#define USERNAME_BYTES_MAX 64
#define CLIENT_ID_BYTES_MAX 64

const char *auth_refresh_text(enum auth_refresh_state state)
{
    static const char *const texts[] = {
#define AUTH_X_(name, text) text,
        AUTH_REFRESH_LIST(AUTH_X_)
#undef AUTH_X_
    };
    return state < AUTH_REFRESH_COUNT ? texts[state] : "";
}

enum auth_effect auth_refresh_decide(const struct auth_refresh_row *row,
                                     int64_t now_s,
                                     enum auth_refresh_state *ret_state)
{
    static const enum auth_effect effects[AUTH_REFRESH_COUNT] = {
        [AUTH_REFRESH_FRESH] = AUTH_ROTATE,
        [AUTH_REFRESH_UNKNOWN] = AUTH_REFUSE,
        [AUTH_REFRESH_EXPIRED] = AUTH_REFUSE,
        [AUTH_REFRESH_USED] = AUTH_REVOKE_FAMILY,
        [AUTH_REFRESH_REVOKED] = AUTH_REFUSE,
    };
    *ret_state = !row->found                  ? AUTH_REFRESH_UNKNOWN
                 : row->revoked               ? AUTH_REFRESH_REVOKED
                 : row->used                  ? AUTH_REFRESH_USED
                 : row->expires_at_s <= now_s ? AUTH_REFRESH_EXPIRED
                                              : AUTH_REFRESH_FRESH;
    return effects[*ret_state];
}

static bool next_word(struct bv_bytes *text, struct bv_bytes *ret_word)
{
    while (text->size > 0 && *text->data == ' ')
        *text = (struct bv_bytes){text->data + 1, text->size - 1};
    if (text->size == 0)
        return false;
    const char *space = memchr(text->data, ' ', text->size);
    size_t size = space ? (size_t)(space - text->data) : text->size;
    *ret_word = (struct bv_bytes){text->data, size};
    *text = (struct bv_bytes){text->data + size, text->size - size};
    return true;
}

static bool has_word(struct bv_bytes text, struct bv_bytes word)
{
    struct bv_bytes one;
    while (next_word(&text, &one))
        if (bv_bytes_equal(one, word))
            return true;
    return false;
}

int auth_scope_narrow(struct bv_bytes granted, struct bv_bytes wished, char *out)
{
    struct bv_bytes word, source = wished.size > 0 ? wished : granted;
    size_t size = 0;
    while (next_word(&source, &word)) {
        if (!has_word(granted, word))
            return AUTH_SCOPE_EXCEEDED;
        if (has_word((struct bv_bytes){out, size}, word))
            continue;
        if (size > 0)
            out[size++] = ' ';
        memcpy(out + size, word.data, word.size);
        size += word.size;
    }
    out[size] = '\0';
    return 0;
}

bool auth_username_valid(struct bv_bytes username)
{
    if (username.size < USERNAME_BYTES_MIN || username.size > USERNAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < username.size; i++) {
        char c = username.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter && (i == 0 || !memchr("._-", c, 3)))
            return false;
    }
    return true;
}

bool auth_length_valid(struct bv_bytes text, size_t min, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += (text.data[i] & 0xc0) != 0x80;
    return count >= min && count <= max;
}

bool auth_scope_valid(struct bv_bytes scope)
{
    for (size_t i = 0; i < scope.size; i++) {
        const char c = scope.data[i];
        if (c < ' ' || c > '~' || c == '"' || c == '\\')
            return false;
    }
    return true;
}

bool auth_client_id_valid(struct bv_bytes id)
{
    if (id.size == 0 || id.size > CLIENT_ID_BYTES_MAX)
        return false;
    for (size_t i = 0; i < id.size; i++)
        if (id.data[i] < ' ' || id.data[i] > '~')
            return false;
    return true;
}
