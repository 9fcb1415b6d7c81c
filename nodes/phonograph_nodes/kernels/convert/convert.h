/* Conversions between sample formats and channel layouts: lanes.h, law.h -> samples.h -> converters.h -> channels.h.
 *
 * A variant for an instruction set is this file compiled with its PG_LANES and PG_VARIANT. All variants give the same bits: no
 * product is fused with a sum.
 */
#ifndef PHONOGRAPH_CONVERT_CONVERT_H
#define PHONOGRAPH_CONVERT_CONVERT_H

#include "channels.h"

static int64_t pg_convert(int source, int target, const uint8_t *in, int64_t count, uint8_t *out)
{
    if (source != target)
        return pg_converters[source][target](in, count, out);
    memcpy(out, in, (size_t)(count * pg_sample_bytes[source]));
    return 0;
}

#define PG_JOINED(a, b) a##b
#define PG_NAMED(variant) PG_JOINED(pg_convert_, variant)

const pg_conversions PG_NAMED(PG_VARIANT) = {
    .convert = pg_convert,
    .interleave = pg_interleave,
    .deinterleave = pg_deinterleave,
    .mix = pg_mix,
};

#endif
