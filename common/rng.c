/* xoshiro256** by Blackman and Vigna; the state is filled by splitmix64, so that no seed is a bad one. */
#include "common/rng.h"

static uint64_t
splitmix(uint64_t *x)
{
    *x += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *x;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t
rotate_left(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

void
hq_rng_init(struct hq_rng *r, uint64_t seed)
{
    for (size_t i = 0; i < HQ_ARRAY_LEN(r->s); i++) {
        r->s[i] = splitmix(&seed);
    }
}

uint64_t
hq_rng_u64(struct hq_rng *r)
{
    uint64_t result = rotate_left(r->s[1] * 5, 7) * 9;
    uint64_t t = r->s[1] << 17;
    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = rotate_left(r->s[3], 45);
    return result;
}

uint64_t
hq_rng_below(struct hq_rng *r, uint64_t n)
{
    __extension__ typedef unsigned __int128 wide;
    HQ_ASSERT(n > 0);
    /* the high half of x * n; the few x whose low half falls short would make some results likelier */
    uint64_t short_of = (0 - n) % n;
    wide product;
    do {
        product = (wide)hq_rng_u64(r) * n;
    } while ((uint64_t)product < short_of);
    return (uint64_t)(product >> 64);
}

int64_t
hq_rng_between(struct hq_rng *r, int64_t low, int64_t high)
{
    HQ_ASSERT(low <= high);
    uint64_t span = (uint64_t)high - (uint64_t)low;
    uint64_t apart = span == UINT64_MAX ? hq_rng_u64(r) : hq_rng_below(r, span + 1);
    return (int64_t)((uint64_t)low + apart);
}

bool
hq_rng_chance(struct hq_rng *r, uint32_t num, uint32_t den)
{
    return hq_rng_below(r, den) < num;
}

double
hq_rng_f64(struct hq_rng *r)
{
    return (double)(hq_rng_u64(r) >> 11) * 0x1p-53;
}

hq_ms
hq_rng_jitter(struct hq_rng *r, hq_ms ms, uint32_t percent)
{
    HQ_ASSERT(ms >= 0);
    hq_ms most = ms / 100 * percent + ms % 100 * percent / 100;
    return ms + hq_rng_between(r, -most, most);
}
