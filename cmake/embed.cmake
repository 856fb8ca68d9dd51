# Writes OUT: the bytes of IN as a C array, `const struct bv_bytes SYMBOL`, and their digest, `const char SYMBOL_sha256[65]`.
file(SHA256 ${IN} digest)
file(READ ${IN} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "#include \"bv/bytes.h\"\nstatic const unsigned char data[] = {${bytes}0};\nextern const struct bv_bytes ${SYMBOL};\nconst struct bv_bytes ${SYMBOL} = {(const char *)data, ${size}};\nextern const char ${SYMBOL}_sha256[65];\nconst char ${SYMBOL}_sha256[65] = \"${digest}\";\n")
