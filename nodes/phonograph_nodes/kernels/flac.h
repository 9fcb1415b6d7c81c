/* One frame of FLAC (RFC 9639), decoded to samples.
 *
 * Theory. A frame holds, for each channel, a predictor and what it gets wrong: x[i] = (sum of c[j] x[i-1-j] >> shift) + r[i], with
 * the residuals r in Rice code, whose parameter k changes by partition: a run of zeros and a one, then k bits. Reading a code and
 * predicting a sample are two chains of dependent steps; both stand in one loop, so that the processor runs them side by side.
 *
 * Anything unusual (a reserved value, more than 24 bits, a frame that ends early) is refused, and left to a general decoder; so
 * whatever is returned is what any decoder returns. Bits beyond the end are read as zeros, which is found out afterwards. Bytes
 * after a frame are no fault of it: whoever cuts frames out of a damaged file may take several for one.
 */
#ifndef PHONOGRAPH_FLAC_H
#define PHONOGRAPH_FLAC_H

#include <stdint.h>
#include <string.h>

enum { PG_FLAC_LONGEST = 65535, PG_FLAC_ORDER = 32 };

typedef struct {
    int32_t num_channels, num_samples, bits, rate; /* rate in Hz; 0: that of the stream */
    int64_t number;                                /* of its first sample, or of the frame where all but the last are as long */
    int32_t counts_samples;
} pg_flac_frame;

/* The next bits are the highest of `cache`, of which `valid` are real; below them are zeros or bits that are read again. */
typedef struct {
    const uint8_t *next, *end;
    uint64_t cache;
    int64_t valid;
    int64_t beyond; /* bytes read past the end */
} pg_bits;

#define PG_FLAC_INLINE static inline __attribute__((always_inline))

/* At least 56 bits are valid afterwards. */
PG_FLAC_INLINE void pg_refill(pg_bits *b)
{
    if (__builtin_expect(b->end - b->next >= 8, 1)) {
        uint64_t word;
        memcpy(&word, b->next, 8);
        b->cache |= __builtin_bswap64(word) >> b->valid;
        b->next += (63 - b->valid) >> 3;
        b->valid |= 56;
        return;
    }
    while (b->valid < 56) {
        if (b->next < b->end)
            b->cache |= (uint64_t)*b->next++ << (56 - b->valid);
        else
            b->beyond++;
        b->valid += 8;
    }
}

PG_FLAC_INLINE void pg_drop(pg_bits *b, int count)
{
    b->cache <<= count;
    b->valid -= count;
}

/* `count` bits, at most 32. */
PG_FLAC_INLINE uint32_t pg_take(pg_bits *b, int count)
{
    pg_refill(b);
    const uint32_t value = (uint32_t)((b->cache >> 1) >> (63 - count));
    pg_drop(b, count);
    return value;
}

PG_FLAC_INLINE int32_t pg_take_signed(pg_bits *b, int count)
{
    if (count == 0)
        return 0;
    return (int32_t)(pg_take(b, count) << (32 - count)) >> (32 - count);
}

/* Zeros before the next one, which is taken too; -1 when there are none or too many. */
static int64_t pg_take_run(pg_bits *b)
{
    int64_t run = 0;
    for (;;) {
        pg_refill(b);
        const int zeros = b->cache ? __builtin_clzll(b->cache) : 64;
        if (zeros < 56) {
            pg_drop(b, zeros + 1);
            return run + zeros;
        }
        run += 56;
        pg_drop(b, 56);
        if (b->beyond > 8)
            return -1;
    }
}

/* Whole bytes that were not taken yet; below 0 when more were taken than there are. */
PG_FLAC_INLINE int64_t pg_left(const pg_bits *b)
{
    return (b->end - b->next) + b->valid / 8 - b->beyond;
}

PG_FLAC_INLINE int32_t pg_folded(uint32_t code)
{
    return (int32_t)((code >> 1) ^ (0u - (code & 1)));
}

/* `wide` predicts in 64 bits. Products and sums in 32 bits wrap around, which damaged frames only do. */
PG_FLAC_INLINE int32_t pg_predicted(const int32_t *out, const int32_t *c, int order, int shift, int wide)
{
    if (wide) {
        int64_t sum = 0;
        for (int j = order - 1; j >= 0; j--)
            sum += (int64_t)c[j] * out[-1 - j];
        return (int32_t)(sum >> shift);
    }
    uint32_t sum = 0;
    for (int j = order - 1; j >= 0; j--) /* the newest sample last: all before it is ready early */
        sum += (uint32_t)c[j] * (uint32_t)out[-1 - j];
    return (int32_t)sum >> shift;
}

/* A partition: `count` samples to `out`, which `order` samples precede. */
PG_FLAC_INLINE int pg_partition(pg_bits *bits, int32_t *out, int64_t count, int k, const int32_t *coefficients, int order, int shift,
                                int wide)
{
    pg_bits b = *bits;
    int32_t c[PG_FLAC_ORDER];
    for (int j = 0; j < order; j++)
        c[j] = coefficients[j];
    for (int64_t i = 0; i < count; i++) {
        uint32_t code;
        pg_refill(&b);
        const int zeros = __builtin_clzll(b.cache | 1);
        if (__builtin_expect(zeros + 1 + k <= 56, 1)) {
            const uint64_t rest = b.cache << zeros << 1;
            code = ((uint32_t)zeros << k) | (uint32_t)((rest >> 1) >> (63 - k));
            b.cache = rest << k;
            b.valid -= zeros + 1 + k;
        } else {
            const int64_t run = pg_take_run(&b);
            if (run < 0)
                return 0;
            code = (uint32_t)((uint64_t)run << k);
            code |= pg_take(&b, k);
        }
        out[i] = (int32_t)((uint32_t)pg_folded(code) + (uint32_t)pg_predicted(out + i, c, order, shift, wide));
    }
    *bits = b;
    return b.beyond <= 8;
}

/* A constant order compiles to a loop without a loop in it. */
static int pg_partition_of(pg_bits *b, int32_t *out, int64_t count, int k, const int32_t *c, int order, int shift, int wide)
{
    switch (wide ? order + PG_FLAC_ORDER + 1 : order) {
#define PG_FLAC_CASE(N)                                                                                                          \
    case N:                                                                                                                      \
        return pg_partition(b, out, count, k, c, N, shift, 0);                                                                   \
    case N + PG_FLAC_ORDER + 1:                                                                                                  \
        return pg_partition(b, out, count, k, c, N, shift, 1);
        PG_FLAC_CASE(0)
        PG_FLAC_CASE(1)
        PG_FLAC_CASE(2)
        PG_FLAC_CASE(3)
        PG_FLAC_CASE(4)
        PG_FLAC_CASE(5)
        PG_FLAC_CASE(6)
        PG_FLAC_CASE(7)
        PG_FLAC_CASE(8)
        PG_FLAC_CASE(9)
        PG_FLAC_CASE(10)
        PG_FLAC_CASE(11)
        PG_FLAC_CASE(12)
    default:
        return pg_partition(b, out, count, k, c, order, shift, wide);
    }
}

static int pg_residual(pg_bits *b, int32_t *out, int64_t num_samples, const int32_t *c, int order, int shift, int wide)
{
    const int method = (int)pg_take(b, 2);
    const int parameter_bits = method == 0 ? 4 : 5, escape = method == 0 ? 15 : 31;
    const int partitions = (int)pg_take(b, 4);
    const int64_t length = num_samples >> partitions;
    if (method > 1 || length << partitions != num_samples || length < order)
        return 0;
    for (int64_t p = 0; p < (int64_t)1 << partitions; p++) {
        const int64_t start = p ? p * length : order;
        const int64_t count = (p + 1) * length - start;
        const int k = (int)pg_take(b, parameter_bits);
        if (k != escape) {
            if (!pg_partition_of(b, out + start, count, k, c, order, shift, wide))
                return 0;
            continue;
        }
        const int raw = (int)pg_take(b, 5);
        for (int64_t i = start; i < start + count; i++)
            out[i] = (int32_t)((uint32_t)pg_take_signed(b, raw) + (uint32_t)pg_predicted(out + i, c, order, shift, wide));
    }
    return b->beyond <= 8;
}

static int pg_subframe(pg_bits *b, int32_t *out, int64_t num_samples, int bits)
{
    static const int32_t fixed[5][4] = {{0}, {1}, {2, -1}, {3, -3, 1}, {4, -6, 4, -1}};
    const int header = (int)pg_take(b, 8), type = header >> 1 & 63;
    int wasted = 0, done = 1;
    if (header & 128)
        return 0;
    if (header & 1) {
        const int64_t run = pg_take_run(b);
        if (run < 0 || run + 1 >= bits)
            return 0;
        wasted = (int)run + 1;
        bits -= wasted;
    }
    if (type == 0) {
        const int32_t value = pg_take_signed(b, bits);
        for (int64_t i = 0; i < num_samples; i++)
            out[i] = value;
    } else if (type == 1) {
        for (int64_t i = 0; i < num_samples; i++)
            out[i] = pg_take_signed(b, bits);
    } else if (type >= 8 && type <= 12) {
        const int order = type - 8;
        if (order > num_samples)
            return 0;
        for (int i = 0; i < order; i++)
            out[i] = pg_take_signed(b, bits);
        done = pg_residual(b, out, num_samples, fixed[order], order, 0, 0); /* 25 bits and 4 more: never beyond 32 */
    } else if (type >= 32) {
        const int order = type - 31;
        int32_t c[PG_FLAC_ORDER];
        if (order > num_samples)
            return 0;
        for (int i = 0; i < order; i++)
            out[i] = pg_take_signed(b, bits);
        const int precision = (int)pg_take(b, 4) + 1, shift = pg_take_signed(b, 5);
        if (precision == 16 || shift < 0)
            return 0;
        for (int i = 0; i < order; i++)
            c[i] = pg_take_signed(b, precision);
        const int wide = bits + precision + (32 - __builtin_clz((unsigned)order)) > 32;
        done = pg_residual(b, out, num_samples, c, order, shift, wide);
    } else
        return 0;
    if (wasted)
        for (int64_t i = 0; i < num_samples; i++)
            out[i] = (int32_t)((uint32_t)out[i] << wasted);
    return done;
}

/* What a frame holds; returns 0 for what is unusual. `b` is after the header then. */
static int pg_flac_header(pg_bits *b, int stream_bits, pg_flac_frame *frame)
{
    static const int32_t rates[12] = {0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000};
    static const int8_t widths[8] = {0, 8, 12, -1, 16, 20, 24, -1};
    const uint32_t word = pg_take(b, 32);
    const int block = word >> 12 & 15, rate = word >> 8 & 15, channels = word >> 4 & 15, width = word >> 1 & 7;
    if (word >> 17 != 0x7ffc || word & 1 || block == 0 || rate == 15 || channels > 10)
        return 0;
    const uint32_t lead = pg_take(b, 8); /* a number in the manner of UTF-8: ones before a zero count its bytes */
    const int length = lead < 128 ? 0 : __builtin_clz(~(lead << 24));
    if (length == 1 || length > 7)
        return 0;
    frame->counts_samples = word >> 16 & 1;
    frame->number = length ? lead & (0x7fu >> length) : lead;
    for (int i = 1; i < length; i++) {
        const uint32_t more = pg_take(b, 8);
        if (more >> 6 != 2)
            return 0;
        frame->number = frame->number << 6 | (more & 63);
    }
    frame->num_samples = block == 1   ? 192
                         : block < 6  ? 576 << (block - 2)
                         : block == 6 ? (int32_t)pg_take(b, 8) + 1
                         : block == 7 ? (int32_t)pg_take(b, 16) + 1
                                      : 256 << (block - 8);
    frame->rate = rate < 12    ? rates[rate]
                  : rate == 12 ? (int32_t)pg_take(b, 8) * 1000
                  : rate == 13 ? (int32_t)pg_take(b, 16)
                               : (int32_t)pg_take(b, 16) * 10;
    frame->num_channels = channels < 8 ? channels + 1 : 2;
    frame->bits = width ? widths[width] : stream_bits;
    pg_take(b, 8); /* checksum of the header */
    return frame->bits >= 4 && frame->bits <= 24 && frame->num_samples <= PG_FLAC_LONGEST && pg_left(b) >= 2;
}

/* CRC-16 of polynomial x^16 + x^15 + x^2 + 1: [0] of a byte, [i] of a byte with i zeros after it, so that eight bytes go at a time. */
static uint16_t pg_flac_crc[8][256];

static void pg_flac_prepare(void)
{
    for (int i = 0; i < 256; i++) {
        uint16_t crc = (uint16_t)(i << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)((crc << 1) ^ (crc & 0x8000 ? 0x8005 : 0));
        pg_flac_crc[0][i] = crc;
    }
    for (int table = 1; table < 8; table++)
        for (int i = 0; i < 256; i++) {
            const uint16_t crc = pg_flac_crc[table - 1][i];
            pg_flac_crc[table][i] = (uint16_t)((crc << 8) ^ pg_flac_crc[0][crc >> 8]);
        }
}

/* 0 for a whole frame, whose last bytes are the checksum of those before. */
static uint16_t pg_flac_checksum(const uint8_t *bytes, int64_t size)
{
    uint16_t crc = 0;
    for (; size >= 8; bytes += 8, size -= 8)
        crc = (uint16_t)(pg_flac_crc[7][bytes[0] ^ crc >> 8] ^ pg_flac_crc[6][bytes[1] ^ (crc & 255)] ^ pg_flac_crc[5][bytes[2]] ^
                         pg_flac_crc[4][bytes[3]] ^ pg_flac_crc[3][bytes[4]] ^ pg_flac_crc[2][bytes[5]] ^
                         pg_flac_crc[1][bytes[6]] ^ pg_flac_crc[0][bytes[7]]);
    for (; size > 0; bytes++, size--)
        crc = (uint16_t)((crc << 8) ^ pg_flac_crc[0][bytes[0] ^ crc >> 8]);
    return crc;
}

/* What a packet's frame holds, or 0. */
static int pg_flac_probe(const uint8_t *packet, int64_t size, int stream_bits, pg_flac_frame *frame)
{
    pg_bits b = {packet, packet + size, 0, 0, 0};
    return pg_flac_header(&b, stream_bits, frame);
}

/* Decodes a packet that `pg_flac_probe` took; channel i goes to rows + i * num_samples. Returns the bytes of the frame, which
 * more may follow; 0 for what is damaged or unusual. */
static int64_t pg_flac_decode(const uint8_t *packet, int64_t size, int stream_bits, int32_t *rows)
{
    pg_bits b = {packet, packet + size, 0, 0, 0};
    pg_flac_frame frame;
    if (size < 6 || !pg_flac_header(&b, stream_bits, &frame))
        return 0;
    const int assignment = packet[3] >> 4; /* 8: left and side; 9: side and right; 10: mid and side */
    const int side = assignment == 9 ? 0 : assignment >= 8 ? 1 : -1;
    const int64_t count = frame.num_samples;
    for (int i = 0; i < frame.num_channels; i++)
        if (!pg_subframe(&b, rows + i * count, count, frame.bits + (i == side)))
            return 0;
    const int64_t after = pg_left(&b) - 2; /* the checksum */
    if (after < 0 || pg_flac_checksum(packet, size - after))
        return 0;
    int32_t *first = rows, *second = rows + count;
    if (assignment == 8)
        for (int64_t i = 0; i < count; i++)
            second[i] = (int32_t)((uint32_t)first[i] - (uint32_t)second[i]);
    else if (assignment == 9)
        for (int64_t i = 0; i < count; i++)
            first[i] = (int32_t)((uint32_t)first[i] + (uint32_t)second[i]);
    else if (assignment == 10)
        for (int64_t i = 0; i < count; i++) {
            const uint32_t mid = (uint32_t)first[i] << 1 | (second[i] & 1), apart = (uint32_t)second[i];
            first[i] = (int32_t)(mid + apart) >> 1;
            second[i] = (int32_t)(mid - apart) >> 1;
        }
    return size - after;
}

/* Makes integers of `bits` bits float32, where they lie. */
static void pg_flac_to_float(int32_t *samples, int64_t count, int bits)
{
    const float scale = 1.0f / (float)((int64_t)1 << (bits - 1));
    for (int64_t i = 0; i < count; i++) {
        const float value = (float)samples[i] * scale;
        memcpy(samples + i, &value, sizeof value);
    }
}

#endif
