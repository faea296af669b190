/* The passes over frames that take most of the time on a GPU, each fused into one read and one write of the waves.

   Complex numbers are two floats. Waves are (POSITION, MODE, ROW, COLUMN), frames (POSITION, ROW, COLUMN), zero
   frequency at [0, 0]; probes are (MODE, ROW + TAPS - 1, COLUMN + TAPS - 1): coefficients where windows are moved by
   fractions of a pixel, and the probe itself, with one tap of weight 1, where they are not. What is computed is defined
   by operators.py and array_sweep.py.

   It is written in the part that C and CUDA share, so that a C compiler makes functions for the host of it, with which
   the tests compare the numbers: there one thread does all. */

#ifdef __CUDACC__
#define KERNEL extern "C" __global__ void
#define EACH(i, count) \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < (count); \
         i += (long long)gridDim.x * blockDim.x)
#define EACH_BLOCK(i, count) for (int i = blockIdx.x; i < (count); i += gridDim.x)
#define EACH_OF_BLOCK(i, count) for (int i = threadIdx.x; i < (count); i += blockDim.x)
#define FIRST_OF_BLOCK (threadIdx.x == 0)
#define ADD(address, value) atomicAdd(address, value)

/* Sum over the threads of a block, known to its first one; at most 32 warps. */
static __device__ double of_block(double value)
{
    __shared__ double of_warp[32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int step = 16; step > 0; step /= 2) value += __shfl_down_sync(0xffffffffu, value, step);
    __syncthreads();
    if (lane == 0) of_warp[warp] = value;
    __syncthreads();
    value = 0.0;
    if (threadIdx.x == 0)
        for (int other = 0; other < (blockDim.x + 31) / 32; ++other) value += of_warp[other];
    return value;
}
#else
#include <math.h>
#define KERNEL void
#define EACH(i, count) for (long long i = 0; i < (count); ++i)
#define EACH_BLOCK(i, count) for (int i = 0; i < (count); ++i)
#define EACH_OF_BLOCK(i, count) for (int i = 0; i < (count); ++i)
#define FIRST_OF_BLOCK 1
#define ADD(address, value) (*(address) += (value))
#define of_block(value) (value)
#endif

/* Light on each window, the window of the object, and the exit waves: interpolate, windows and exit_waves at once.
   weights (POSITION, 2, TAPS); shares (POSITION, VARIATION) of patterns by which the first mode varies. */
KERNEL exit_waves(float *light, float *wave, float *window, const float *probe, const float *patterns,
                  const float *shares, const float *object, const int *corners, const float *weights, int positions,
                  int modes, int variations, int rows, int columns, int taps, int object_columns)
{
    const int pixels = rows * columns, wide = columns + taps - 1;
    const long long image = (long long)(rows + taps - 1) * wide;
    EACH(i, (long long)positions * pixels)
    {
        const int position = (int)(i / pixels), pixel = (int)(i % pixels), y = pixel / columns, x = pixel % columns;
        const float *down = weights + (long long)position * 2 * taps, *along = down + taps;
        const long long at = (long long)(corners[2 * position] + y) * object_columns + corners[2 * position + 1] + x;
        const float o_re = object[2 * at], o_im = object[2 * at + 1];
        window[2 * i] = o_re;
        window[2 * i + 1] = o_im;
        for (int mode = 0; mode < modes; ++mode) {
            float re = 0.0f, im = 0.0f;
            for (int a = 0; a < taps; ++a) {
                float row_re = 0.0f, row_im = 0.0f;
                for (int b = 0; b < taps; ++b) {
                    const long long there = (long long)(y + a) * wide + x + b;
                    const float *here = probe + 2 * (mode * image + there);
                    float p_re = here[0], p_im = here[1];
                    for (int v = 0; mode == 0 && v < variations; ++v) {
                        const float share = shares[(long long)position * variations + v];
                        p_re += share * patterns[2 * (v * image + there)];
                        p_im += share * patterns[2 * (v * image + there) + 1];
                    }
                    row_re += along[b] * p_re;
                    row_im += along[b] * p_im;
                }
                re += down[a] * row_re;
                im += down[a] * row_im;
            }
            const long long out = 2 * (((long long)position * modes + mode) * pixels + pixel);
            light[out] = re;
            light[out + 1] = im;
            wave[out] = o_re * re - o_im * im;
            wave[out + 1] = o_re * im + o_im * re;
        }
    }
}

/* Far fields with the measured modulus on good pixels, in place, and the misfit (POSITION,) before. A negative count
   says that there were so many at least. With poisson they follow half the gradient of its likelihood, straight on
   above twice the amplitude. */
KERNEL revise(float *field, double *misfit, const float *counts, const float *good, const float *background,
              const float *gain, int positions, int modes, int pixels, int poisson)
{
    EACH_BLOCK(position, positions)
    {
        double sum = 0.0;
        EACH_OF_BLOCK(pixel, pixels)
        {
            float expected = background[pixel] * gain[position] + 1e-6f;
            float measured = counts[(long long)position * pixels + pixel] * gain[position];
            for (int mode = 0; mode < modes; ++mode) {
                const float *here = field + 2 * (((long long)position * modes + mode) * pixels + pixel);
                expected += here[0] * here[0] + here[1] * here[1];
            }
            if (measured < 0.0f) measured = fmaxf(-measured, expected);
            const float ratio = sqrtf(measured / expected);
            float change = ratio - 1.0f;
            sum += good[pixel] * expected * change * change / gain[position];
            if (poisson) change = ratio < 2.0f ? 0.5f * (ratio * ratio - 1.0f) : 1.5f * change;
            const float factor = 1.0f + good[pixel] * change;
            for (int mode = 0; mode < modes; ++mode) {
                float *here = field + 2 * (((long long)position * modes + mode) * pixels + pixel);
                here[0] *= factor;
                here[1] *= factor;
            }
        }
        sum = of_block(sum);
        if (FIRST_OF_BLOCK) misfit[position] = sum;
    }
}

/* The object's part of the sums: conj(P) d and |P|^2 of all modes, d = wanted - wave, added where each window lies. */
KERNEL ask_object(float *asked, float *weight, const float *light, const float *wanted, const float *wave,
                  const int *corners, int positions, int modes, int rows, int columns, int object_columns)
{
    const int pixels = rows * columns;
    EACH(i, (long long)positions * pixels)
    {
        const int position = (int)(i / pixels), pixel = (int)(i % pixels);
        float re = 0.0f, im = 0.0f, power = 0.0f;
        for (int mode = 0; mode < modes; ++mode) {
            const long long at = 2 * (((long long)position * modes + mode) * pixels + pixel);
            const float d_re = wanted[at] - wave[at], d_im = wanted[at + 1] - wave[at + 1];
            const float p_re = light[at], p_im = light[at + 1];
            re += p_re * d_re + p_im * d_im;
            im += p_re * d_im - p_im * d_re;
            power += p_re * p_re + p_im * p_im;
        }
        const long long there = (long long)(corners[2 * position] + pixel / columns) * object_columns
                                + corners[2 * position + 1] + pixel % columns;
        ADD(asked + 2 * there, re);
        ADD(asked + 2 * there + 1, im);
        ADD(weight + there, power);
    }
}

/* The probe's part: conj(O) d, moved back by the adjoint of the interpolation, and |O|^2. Every thread gathers what
   all positions ask of one coefficient, so that nothing is added by two at once, and always in the same order. */
KERNEL ask_probe(float *asked, float *brightness, const float *window, const float *wanted, const float *wave,
                 const float *weights, int positions, int modes, int rows, int columns, int taps)
{
    const int pixels = rows * columns, wide = columns + taps - 1;
    const long long image = (long long)(rows + taps - 1) * wide;
    EACH(i, modes * image)
    {
        const int mode = (int)(i / image), v = (int)(i % image / wide), u = (int)(i % image % wide);
        float re = 0.0f, im = 0.0f, bright = 0.0f;
        for (int position = 0; position < positions; ++position) {
            const float *down = weights + (long long)position * 2 * taps, *along = down + taps;
            for (int a = 0; a < taps; ++a) {
                const int y = v - a;
                if (y < 0 || y >= rows) continue;
                float row_re = 0.0f, row_im = 0.0f;
                for (int b = 0; b < taps; ++b) {
                    const int x = u - b;
                    if (x < 0 || x >= columns) continue;
                    const long long of = 2 * ((long long)position * pixels + y * columns + x);
                    const long long at = 2 * (((long long)position * modes + mode) * pixels + y * columns + x);
                    const float d_re = wanted[at] - wave[at], d_im = wanted[at + 1] - wave[at + 1];
                    row_re += along[b] * (window[of] * d_re + window[of + 1] * d_im);
                    row_im += along[b] * (window[of] * d_im - window[of + 1] * d_re);
                }
                re += down[a] * row_re;
                im += down[a] * row_im;
            }
            if (mode == 0 && v < rows && u < columns) {
                const long long of = 2 * ((long long)position * pixels + v * columns + u);
                bright += window[of] * window[of] + window[of + 1] * window[of + 1];
            }
        }
        asked[2 * i] += re;
        asked[2 * i + 1] += im;
        if (mode == 0 && v < rows && u < columns) brightness[v * columns + u] += bright;
    }
}

/* 2 P O - wave of the difference map, of count numbers. */
KERNEL reflect(float *out, const float *wave, const float *kept, long long count)
{
    EACH(i, count) { out[i] = 2.0f * wave[i] - kept[i]; }
}

/* A step of RAAR or the difference map: beta (kept + back) + (1 - 2 beta) P O, in place, of count numbers. */
KERNEL relax(float *kept, const float *back, const float *wave, float beta, long long count)
{
    EACH(i, count) { kept[i] = beta * (kept[i] + back[i]) + (1.0f - 2.0f * beta) * wave[i]; }
}
