/* Work that never changes, to hold the kernels' times against: each function wears out one part of the processor, the one that the
 * kernels beside it live on, so that a slower clock, or a neighbour on the same core, slows both alike.
 *
 * A change here makes every accepted ratio meaningless, and the gate says so. LANES is the kernels' own vector width. Arrays are
 * static and aligned; what fills more than the first-level cache is there PLACES times, and the caller says which to use. */

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

enum { POINTS = 128, STREAM = 49152, PLACES = 4 };

static lanes real[POINTS], imaginary[POINTS];
static float source[PLACES][STREAM] __attribute__((aligned(4096))) = {{1}}; /* else all of its pages would be one page of zeros */
static float target[PLACES][STREAM] __attribute__((aligned(4096)));

/* Arithmetic on the first-level cache: passes of a Fourier transform of 128 points in each lane. The factor is 1 / sqrt(2), so the
 * energy stays what it is; one rotation serves all, since the result is nobody's. */
float butterflies(long rounds, long place) {
    (void)place;
    const float scale = 0.70710678f, cosine = 0.8f * scale, sine = 0.6f * scale;
    for (int i = 0; i < POINTS; i++) {
        real[i] = imaginary[i] = (lanes){0} + (float)(i % 7 - 3);
    }
    for (long round = 0; round < rounds; round++) {
        for (int half = POINTS / 2; half; half /= 2) {
            for (int first = 0; first < POINTS; first += 2 * half) {
                for (int i = first; i < first + half; i++) {
                    lanes dr = real[i] - real[i + half], di = imaginary[i] - imaginary[i + half];
                    real[i] = (real[i] + real[i + half]) * scale;
                    imaginary[i] = (imaginary[i] + imaginary[i + half]) * scale;
                    real[i + half] = dr * cosine - di * sine;
                    imaginary[i + half] = dr * sine + di * cosine;
                }
            }
        }
    }
    return real[1][0];
}

/* Reading from the second-level cache: sums of squares. */
float squares(long rounds, long place) {
    const lanes *from = (const lanes *)source[place];
    lanes a = {0}, b = a, c = a, d = a;
    for (long round = 0; round < rounds; round++) {
        for (long i = 0; i < STREAM / LANES; i += 4) {
            a += from[i] * from[i];
            b += from[i + 1] * from[i + 1];
            c += from[i + 2] * from[i + 2];
            d += from[i + 3] * from[i + 3];
        }
    }
    return (a + b + c + d)[0];
}

/* Reading from the second-level cache and writing to it: a copy. Between rounds the compiler must believe that it is needed. */
float copies(long rounds, long place) {
    const lanes *from = (const lanes *)source[place];
    lanes *to = (lanes *)target[place];
    for (long round = 0; round < rounds; round++) {
        for (long i = 0; i < STREAM / LANES; i++) {
            to[i] = from[i];
        }
        __asm__ volatile("" ::: "memory");
    }
    return target[place][0];
}

/* One operation after the other: a second thread on the same core leaves its time as it is. */
long narrow(long rounds) {
    long a = 3;
    for (long round = 0; round < rounds; round++) {
        a *= round;
        __asm__ volatile("" : "+r"(a));
        a *= round;
        __asm__ volatile("" : "+r"(a));
    }
    return a;
}

/* As many operations at a time as the core has units for: a second thread takes its share of them. */
#define SIX a += round, b += round, c += round, d += round, e += round, f += round; \
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f))
long wide(long rounds) {
    long a = 0, b = 0, c = 0, d = 0, e = 0, f = 0;
    for (long round = 0; round < rounds; round++) {
        SIX;
        SIX;
        SIX;
        SIX;
    }
    return a + b + c + d + e + f;
}

const char *compiler(void) { return __VERSION__; }
