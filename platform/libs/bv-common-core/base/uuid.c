#include "bv/uuid.h"

struct bv_uuid bv_uuid_v7(const struct bv_env *env)
{
    struct bv_uuid uuid;
    int64_t now_us = bv_wall_us(env);
    uint64_t us = now_us < 0 ? 0 : (uint64_t)now_us;
    uint64_t ms = us / 1000;
    uint32_t fraction = (uint32_t)(us % 1000 * 4096 / 1000);
    for (int i = 0; i < 6; i++)
        uuid.octets[i] = (uint8_t)(ms >> (40 - 8 * i));
    uuid.octets[6] = (uint8_t)(0x70 | fraction >> 8);
    uuid.octets[7] = (uint8_t)fraction;
    env->random->fill(env->random, uuid.octets + 8, 8);
    uuid.octets[8] = (uint8_t)(0x80 | (uuid.octets[8] & 0x3f));
    return uuid;
}

/* Text position of each octet: groups of 8-4-4-4-12 digits. */
static const uint8_t places[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

void bv_uuid_format(struct bv_uuid uuid, char out[BV_UUID_TEXT_SIZE])
{
    for (size_t i = 0; i < sizeof(uuid.octets); i++)
        bv_hex_encode(&uuid.octets[i], 1, out + places[i]);
    out[8] = out[13] = out[18] = out[23] = '-';
    out[36] = '\0';
}

int bv_uuid_parse(struct bv_bytes text, struct bv_uuid *ret_uuid)
{
    struct bv_uuid uuid;
    if (text.size != BV_UUID_TEXT_SIZE - 1 || text.data[8] != '-' || text.data[13] != '-' ||
        text.data[18] != '-' || text.data[23] != '-')
        return BV_E_INVALID;
    for (size_t i = 0; i < sizeof(uuid.octets); i++)
        BV_TRY(bv_hex_decode((struct bv_bytes){text.data + places[i], 2}, &uuid.octets[i], 1));
    *ret_uuid = uuid;
    return 0;
}

int64_t bv_uuid_v7_ms(struct bv_uuid uuid)
{
    int64_t ms = 0;
    if (uuid.octets[6] >> 4 != 7)
        return -1;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | uuid.octets[i];
    return ms;
}
