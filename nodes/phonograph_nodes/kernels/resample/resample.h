/* Change of sample rate: source.h -> transforms.h -> blocks.h, and bank.h. A variant for an instruction set is this file compiled with its
 * PG_LANES and PG_VARIANT. */
#ifndef PHONOGRAPH_RESAMPLE_H
#define PHONOGRAPH_RESAMPLE_H

#define _POSIX_C_SOURCE 200809L /* pread */

#include "bank.h"
#include "blocks.h"

#define PG_JOINED(a, b) a##b
#define PG_NAMED(variant) PG_JOINED(pg_resample_, variant)

const pg_resamplers PG_NAMED(PG_VARIANT) = {
    .lanes = PG_LANES,
    .workspace = pg_blocks_workspace,
    .blocks = pg_resample_blocks,
    .bank = pg_resample_bank,
    .finite = pg_all_finite,
};

#endif
