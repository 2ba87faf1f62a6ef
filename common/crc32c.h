/* crc32c.h - CRC32C (Castagnoli, reflected) of records: the CPU's instruction where it has it, else a table. */
#ifndef HQ_COMMON_CRC32C_H
#define HQ_COMMON_CRC32C_H

#include "common/base.h"

/* seed 0 for a new sum, else the sum of what came before: crc(crc(0, a), b) = crc(0, ab). "123456789" gives e3069283. */
uint32_t hq_crc32c(uint32_t seed, const void *p, size_t len);
uint32_t hq_crc32c_table(uint32_t seed, const void *p, size_t len); /* portable form; the same value */

#endif
