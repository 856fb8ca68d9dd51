#include "tags.h"

enum kind { LITERAL, NOT, AND, OR, ALWAYS };
struct tag_expression {
    enum kind kind;
    size_t column;        /* of a literal */
    struct bv_bytes text; /* LITERAL, unescaped; in the arena */
    const struct tag_expression *left;
    const struct tag_expression *right;
};

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_NOT, TOKEN_AND, TOKEN_OR };
struct parser {
    struct bv_arena *arena;
    struct bv_bytes text;
    struct bv_error *error;
    size_t at;
    int depth;
    enum token_kind kind; /* of the next token */
    size_t column;        /* its first byte, from 1 */
    struct bv_bytes word; /* unescaped */
};

/* ---- tokens ---- */

static bool space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static enum token_kind kind_of(struct bv_bytes word)
{
    return bv_bytes_equal(word, BV_BYTES("not"))   ? TOKEN_NOT
           : bv_bytes_equal(word, BV_BYTES("and")) ? TOKEN_AND
           : bv_bytes_equal(word, BV_BYTES("or"))  ? TOKEN_OR
                                                   : TOKEN_WORD;
}

static int take_word(struct parser *parser)
{
    size_t left = parser->text.size - parser->at;
    char *word = bv_arena_alloc(parser->arena, left + 1);
    size_t size = 0;
    bool escaped = false;
    if (!word)
        return BV_E_NOMEM;
    for (; parser->at < parser->text.size; parser->at++) {
        char c = parser->text.data[parser->at];
        if (c == '\\') {
            if (++parser->at == parser->text.size)
                return bv_fail(parser->error,
                               BV_E_INVALID,
                               "tags, column %zu: nothing follows the backslash",
                               parser->at);
            c = parser->text.data[parser->at];
            if (c != '(' && c != ')' && c != '\\' && !space(c))
                return bv_fail(parser->error,
                               BV_E_INVALID,
                               "tags, column %zu: a backslash stands before ( ) \\ or a space only",
                               parser->at);
            escaped = true;
        } else if (space(c) || c == '(' || c == ')') {
            break;
        }
        word[size++] = c;
    }
    parser->word = (struct bv_bytes){word, size};
    parser->kind = escaped ? TOKEN_WORD : kind_of(parser->word);
    return 0;
}

static int advance(struct parser *parser)
{
    while (parser->at < parser->text.size && space(parser->text.data[parser->at]))
        parser->at++;
    parser->column = parser->at + 1;
    if (parser->at == parser->text.size) {
        parser->kind = TOKEN_END;
        return 0;
    }
    char c = parser->text.data[parser->at];
    if (c != '(' && c != ')')
        return take_word(parser);
    parser->at++;
    parser->kind = c == '(' ? TOKEN_OPEN : TOKEN_CLOSE;
    return 0;
}

static int unexpected(const struct parser *parser, const char *wanted)
{
    static const char *const names[] = {
        [TOKEN_END] = "the end",
        [TOKEN_OPEN] = "\"(\"",
        [TOKEN_CLOSE] = "\")\"",
        [TOKEN_NOT] = "\"not\"",
        [TOKEN_AND] = "\"and\"",
        [TOKEN_OR] = "\"or\"",
    };
    struct bv_bytes word = parser->word;
    if (parser->kind == TOKEN_WORD)
        return bv_fail(parser->error,
                       BV_E_INVALID,
                       "tags, column %zu: expected %s, found \"%.*s\"",
                       parser->column,
                       wanted,
                       (int)(word.size < 40 ? word.size : 40),
                       word.data);
    return bv_fail(parser->error,
                   BV_E_INVALID,
                   "tags, column %zu: expected %s, found %s",
                   parser->column,
                   wanted,
                   names[parser->kind]);
}

/* ---- grammar: or = and {"or" and}; and = unary {"and" unary}; unary = "not" unary | "(" or ")" |
 * literal ---- */

static int take_or(struct parser *parser, const struct tag_expression **ret_expression);

static struct tag_expression *node(struct parser *parser,
                                   enum kind kind,
                                   const struct tag_expression *left,
                                   const struct tag_expression *right)
{
    struct tag_expression *made = bv_arena_new(parser->arena, struct tag_expression);
    if (made)
        *made = (struct tag_expression){.kind = kind,
                                        .column = parser->column,
                                        .text = parser->word,
                                        .left = left,
                                        .right = right};
    return made;
}

static int take_group(struct parser *parser, const struct tag_expression **ret_expression)
{
    size_t column = parser->column;
    BV_TRY(advance(parser));
    BV_TRY(take_or(parser, ret_expression));
    if (parser->kind == TOKEN_END)
        return bv_fail(parser->error,
                       BV_E_INVALID,
                       "tags, column %zu: this parenthesis is not closed",
                       column);
    return parser->kind == TOKEN_CLOSE ? advance(parser)
                                       : unexpected(parser, "\"and\", \"or\" or \")\"");
}

static int take_not(struct parser *parser, const struct tag_expression **ret_expression);

static int take_unary(struct parser *parser, const struct tag_expression **ret_expression)
{
    if (parser->depth == TAGS_DEPTH_MAX)
        return bv_fail(parser->error,
                       BV_E_INVALID,
                       "tags, column %zu: nested more than %d deep",
                       parser->column,
                       TAGS_DEPTH_MAX);
    parser->depth++;
    int rc = 0;
    if (parser->kind == TOKEN_NOT) {
        rc = take_not(parser, ret_expression);
    } else if (parser->kind == TOKEN_OPEN) {
        rc = take_group(parser, ret_expression);
    } else if (parser->kind == TOKEN_WORD) {
        *ret_expression = node(parser, LITERAL, NULL, NULL);
        rc = *ret_expression ? advance(parser) : BV_E_NOMEM;
    } else {
        rc = unexpected(parser, "a tag, \"not\" or \"(\"");
    }
    parser->depth--;
    return rc;
}

static int take_not(struct parser *parser, const struct tag_expression **ret_expression)
{
    const struct tag_expression *operand = NULL;
    BV_TRY(advance(parser));
    BV_TRY(take_unary(parser, &operand));
    *ret_expression = node(parser, NOT, operand, NULL);
    return *ret_expression ? 0 : BV_E_NOMEM;
}

static int take_and(struct parser *parser, const struct tag_expression **ret_expression)
{
    BV_TRY(take_unary(parser, ret_expression));
    while (parser->kind == TOKEN_AND) {
        const struct tag_expression *right = NULL;
        BV_TRY(advance(parser));
        BV_TRY(take_unary(parser, &right));
        if (!(*ret_expression = node(parser, AND, *ret_expression, right)))
            return BV_E_NOMEM;
    }
    return 0;
}

static int take_or(struct parser *parser, const struct tag_expression **ret_expression)
{
    BV_TRY(take_and(parser, ret_expression));
    while (parser->kind == TOKEN_OR) {
        const struct tag_expression *right = NULL;
        BV_TRY(advance(parser));
        BV_TRY(take_and(parser, &right));
        if (!(*ret_expression = node(parser, OR, *ret_expression, right)))
            return BV_E_NOMEM;
    }
    return 0;
}

int tag_expression_parse(struct bv_arena *arena,
                         struct bv_bytes text,
                         const struct tag_expression **ret_expression,
                         struct bv_error *error)
{
    struct parser parser = {.arena = arena, .text = text, .error = error};
    const struct tag_expression *made = NULL;
    BV_TRY(advance(&parser));
    if (parser.kind == TOKEN_END) {
        if (!(*ret_expression = node(&parser, ALWAYS, NULL, NULL)))
            return BV_E_NOMEM;
        return 0;
    }
    BV_TRY(take_or(&parser, &made));
    if (parser.kind != TOKEN_END)
        return unexpected(&parser, "\"and\" or \"or\"");
    *ret_expression = made;
    return 0;
}

/* ---- use ---- */

bool tag_expression_holds(const struct tag_expression *expression,
                          const struct bv_bytes *tags,
                          size_t count)
{
    switch (expression->kind) {
    case ALWAYS:
        return true;
    case NOT:
        return !tag_expression_holds(expression->left, tags, count);
    case AND:
        return tag_expression_holds(expression->left, tags, count) &&
               tag_expression_holds(expression->right, tags, count);
    case OR:
        return tag_expression_holds(expression->left, tags, count) ||
               tag_expression_holds(expression->right, tags, count);
    default:
        for (size_t i = 0; i < count; i++)
            if (bv_bytes_equal(tags[i], expression->text))
                return true;
        return false;
    }
}

int tag_expression_check(const struct tag_expression *expression, struct bv_error *error)
{
    if (expression->kind == LITERAL && (!expression->text.size || expression->text.data[0] != '@'))
        return bv_fail(error,
                       BV_E_INVALID,
                       "tags, column %zu: tags begin with @: did you mean @%.*s?",
                       expression->column,
                       (int)(expression->text.size < 40 ? expression->text.size : 40),
                       expression->text.data);
    if (expression->left)
        BV_TRY(tag_expression_check(expression->left, error));
    return expression->right ? tag_expression_check(expression->right, error) : 0;
}
