/* Work that never changes, to hold the kernels' times against: each function wears out one part of the processor, the one that the
 * kernels beside it live on, so that a slower clock, or a neighbour on the same core, slows both alike.
 *
 * A change here makes every accepted ratio meaningless, and the gate says so. LANES is the kernels' own vector width. Arrays are
 * static and aligned, so that they lie the same way in every process. */

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

enum { POINTS = 128, STREAM = 49152 };

static lanes real[POINTS], imaginary[POINTS];
static float source[STREAM] __attribute__((aligned(64)));
static float target[STREAM] __attribute__((aligned(64)));

/* Arithmetic on the first-level cache: passes of a Fourier transform of 128 points in each lane. The factor is 1 / sqrt(2), so the
 * energy stays what it is; one rotation serves all, since the result is nobody's. */
float butterflies(long rounds) {
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
float squares(long rounds) {
    const lanes *from = (const lanes *)source;
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
float copies(long rounds) {
    const lanes *from = (const lanes *)source;
    lanes *to = (lanes *)target;
    for (long round = 0; round < rounds; round++) {
        for (long i = 0; i < STREAM / LANES; i++) {
            to[i] = from[i];
        }
        __asm__ volatile("" ::: "memory");
    }
    return target[0];
}

const char *compiler(void) { return __VERSION__; }
