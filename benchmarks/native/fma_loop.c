/* Multiply-adds on eight vectors that never leave their registers: all that a second thread adds on this machine, since there is
 * no memory, no lock and no system call to wait for. LANES is the kernels' own vector width, so that the clock does as for them.
 *
 * The values stay finite, as x -> 0.5 x + 1 goes to 2. They start unlike each other, or the compiler would keep only one. */

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

float fma_loop(long iterations) {
    lanes half = {0}, one = {0};
    half += 0.5f;
    one += 1.0f;
    lanes a = half, b = one, c = b + one, d = c + one, e = d + one, f = e + one, g = f + one, h = g + one;
    for (long i = 0; i < iterations; i++) {
        a = a * half + one;
        b = b * half + one;
        c = c * half + one;
        d = d * half + one;
        e = e * half + one;
        f = f * half + one;
        g = g * half + one;
        h = h * half + one;
    }
    lanes sum = a + b + c + d + e + f + g + h;
    return sum[0];
}
