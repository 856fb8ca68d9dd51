# Writes OUT: the bytes of IN as a C array and `const struct bv_bytes SYMBOL`.
file(READ ${IN} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "#include \"bv/bytes.h\"\nstatic const unsigned char data[] = {${bytes}0};\nextern const struct bv_bytes ${SYMBOL};\nconst struct bv_bytes ${SYMBOL} = {(const char *)data, ${size}};\n")
