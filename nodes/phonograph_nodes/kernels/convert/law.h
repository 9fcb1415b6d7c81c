/* A-law and mu-law, the two logarithmic formats of 8 bits.
 *
 * Theory (ITU-T G.711). A code has a sign, three bits of exponent e and four of mantissa m; below, e and m together are the
 * seven bits 16 e + m. With 14 bits, mu-law stands for +-((2 m + 33) 2^e - 33); with 13 bits, A-law for +-(2 m + 33) 2^(e-1),
 * and for +-(2 m + 1) where e is 0. Times 4 and times 8, they are levels of 16 bits. (2 m + 33) 2^e is 2^(e+5) (1 + (2 m + 1) /
 * 32): the seven bits and a 1 behind them are the top of a float32's exponent and mantissa, so that one shift and one addition
 * decode.
 *
 * A coder takes the code whose interval holds the value. The intervals end at the decision values of the standard's tables: 0,
 * 2, 4 ... with 13 bits, and 0, 1, 3, 5 ... with 14, in steps that double with e. A value on such a border goes to the upper
 * interval, whatever its sign: so a value may first be rounded down to 13 or 14 bits, and negative levels are folded onto the
 * others as -1 - level. Exponent and mantissa then are, again, those of a float32.
 *
 * In mu-law all bits are inverted, in A-law every second one and the sign: in both, 1 is the sign of what is not negative.
 */
#ifndef PHONOGRAPH_CONVERT_LAW_H
#define PHONOGRAPH_CONVERT_LAW_H

#include "lanes.h"

enum { PG_LAW_BITS = 14, PG_SIGN = 0x80, PG_EVEN_BITS = 0x55 };

PG_INLINE pg_vec pg_with_exponent(pg_ints seven, int exponent)
{
    return (pg_vec)((seven << 19) + ((127 + exponent) << 23) + (1 << 18));
}

PG_INLINE pg_ints pg_seven_bits(pg_ints magnitude, int exponent)
{
    return ((pg_ints)__builtin_convertvector(magnitude, pg_vec) >> 19) - ((127 + exponent) << 4);
}

PG_INLINE pg_vec pg_of_mulaw(pg_ints code)
{
    const pg_ints sign = (~code & PG_SIGN) << 24;
    const pg_vec magnitude = pg_with_exponent(~code & 0x7f, 5), bias = pg_splat(33.0f);
    return ((pg_vec)((pg_ints)magnitude | sign) - (pg_vec)((pg_ints)bias | sign)) * (4.0f / 32768.0f);
}

PG_INLINE pg_vec pg_of_alaw(pg_ints code)
{
    const pg_ints plain = code ^ PG_EVEN_BITS, seven = plain & 0x7f, sign = (~plain & PG_SIGN) << 24;
    const pg_ints linear = seven < 16; /* e is 0: as with e = 1, less its 32 */
    const pg_vec magnitude = pg_with_exponent(seven + (linear & 16), 4) - (pg_vec)(linear & (pg_ints)pg_splat(32.0f));
    return (pg_vec)((pg_ints)magnitude | sign) * (8.0f / 32768.0f);
}

/* Codes of levels of PG_LAW_BITS bits. */
PG_INLINE pg_ints pg_to_mulaw(pg_ints level)
{
    const pg_ints negative = level >> 31, magnitude = pg_at_most_int((level ^ negative) + 33, 8191);
    return pg_seven_bits(magnitude, 5) ^ 0xff ^ (negative & PG_SIGN);
}

PG_INLINE pg_ints pg_to_alaw(pg_ints level)
{
    const pg_ints negative = level >> 31, magnitude = (level ^ negative) >> 2, linear = magnitude < 16;
    const pg_ints seven = PG_WHERE(linear, magnitude, pg_seven_bits(magnitude, 4) + 16);
    return seven ^ (PG_SIGN | PG_EVEN_BITS) ^ (negative & PG_SIGN);
}

#endif
