// Loops of the kind that libraries pass over rows with, written anew for counting their instructions:
// count_rows.py compiles them and counts the loops. They are never run.
#include <cstdint>
#include <cuda_fp16.h>

template <int N>
struct alignas(2 * N) Few {
  __half of[N];
};

// A row's gate and up halves: gate x sigmoid(gate) x up, an element a thread.
extern "C" __global__ void gated_activation(__half *out, const __half *in, const int width) {
  const int64_t row = blockIdx.x;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    const __half gate = __ldg(&in[row * 2 * width + i]);
    const __half up = __ldg(&in[row * 2 * width + width + i]);
    const float wide = (float)gate;
    out[row * width + i] = (__half)(wide / (1.0f + expf(-wide))) * up;
  }
}

// Squares first, then each element scaled by what came of them and by its weight.
extern "C" __global__ void rms_norm(__half *out, const __half *in, const __half *weight, const float eps,
                                    const int width) {
  __shared__ float sums[32], scale;
  float sum = 0.0f;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    const float x = (float)in[blockIdx.x * width + i];
    sum += x * x;
  }
  sums[threadIdx.x % 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0) scale = rsqrtf(sums[0] / width + eps);
  __syncthreads();
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    const float x = (float)in[blockIdx.x * width + i];
    out[blockIdx.x * width + i] = (__half)(x * scale) * weight[i];
  }
}

// Pairs of a head's halves turned in place, a pair a thread; the cosines stand by position.
extern "C" __global__ void rotation(const int64_t *position, __half *values, const __half *angles, const int turned,
                                    const int stride, const int heads, const int size) {
  const int half = turned / 2;
  const __half *cosines = angles + position[blockIdx.x] * turned;
  for (int i = threadIdx.x; i < heads * half; i += blockDim.x) {
    __half *head = values + (int64_t)blockIdx.x * stride + i / half * size;
    const int at = i % half;
    const __half c = __ldg(cosines + at), s = __ldg(cosines + half + at);
    const __half x = head[at], y = head[half + at];
    head[at] = x * c - y * s;
    head[half + at] = y * c + x * s;
  }
}

// Rows of a table by number, an element a thread.
extern "C" __global__ void look_up(__half *out, const __half *table, const int64_t *numbers, const unsigned total,
                                   const unsigned width, const unsigned table_row, const unsigned table_column,
                                   const unsigned out_row, const unsigned out_column, const int64_t most) {
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < total; i += gridDim.x * blockDim.x) {
    const unsigned row = i / width, column = i % width;
    const int64_t number = numbers[row];
    if (number >= most) __trap();
    out[column * out_column + row * out_row] = table[column * table_column + (unsigned)number * table_row];
  }
}

// Maximum, sum of exponentials, result: eight elements a thread.
extern "C" __global__ void softmax(__half *out, const __half *in, const int width) {
  __shared__ float part[32];
  const Few<8> *row = (const Few<8> *)(in + (int64_t)blockIdx.x * width);
  Few<8> *made = (Few<8> *)(out + (int64_t)blockIdx.x * width);
  float most = -1e30f, sum = 0.0f;
#pragma unroll 1
  for (int i = threadIdx.x; i * 8 < width; i += blockDim.x) {
    const Few<8> x = row[i];
#pragma unroll
    for (int j = 0; j < 8; j++) most = fmaxf(most, (float)x.of[j]);
  }
  part[threadIdx.x % 32] = most;
  __syncthreads();
  most = part[3];
  __syncthreads();
#pragma unroll 1
  for (int i = threadIdx.x; i * 8 < width; i += blockDim.x) {
    const Few<8> x = row[i];
#pragma unroll
    for (int j = 0; j < 8; j++) sum += __expf((float)x.of[j] - most);
  }
  part[threadIdx.x % 32] = sum;
  __syncthreads();
  sum = part[3];
#pragma unroll 1
  for (int i = threadIdx.x; i * 8 < width; i += blockDim.x) {
    const Few<8> x = row[i];
    Few<8> y;
#pragma unroll
    for (int j = 0; j < 8; j++) y.of[j] = (__half)(__expf((float)x.of[j] - most) / sum);
    made[i] = y;
  }
}

// Mean and variance as they come, then each element: four elements a thread.
extern "C" __global__ void layer_norm(__half *out, const __half *in, const __half *gain, const __half *bias,
                                      const int width, const float eps) {
  __shared__ float part[64];
  const Few<4> *row = (const Few<4> *)(in + (int64_t)blockIdx.x * width);
  Few<4> *made = (Few<4> *)(out + (int64_t)blockIdx.x * width);
  float mean = 0.0f, squares = 0.0f, count = 0.0f;
#pragma unroll 1
  for (int i = threadIdx.x; i * 4 < width; i += blockDim.x) {
    const Few<4> x = row[i];
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const float value = (float)x.of[j], off = value - mean;
      count += 1.0f;
      mean += off * (1.0f / count);
      squares += off * (value - mean);
    }
  }
  part[threadIdx.x % 32] = mean;
  part[32 + threadIdx.x % 32] = squares;
  __syncthreads();
  mean = part[3];
  const float scale = rsqrtf(part[40] + eps);
#pragma unroll 1
  for (int i = threadIdx.x; i * 4 < width; i += blockDim.x) {
    const Few<4> x = row[i], g = ((const Few<4> *)gain)[i], b = ((const Few<4> *)bias)[i];
    Few<4> y;
#pragma unroll
    for (int j = 0; j < 4; j++) y.of[j] = (__half)((float)g.of[j] * (scale * ((float)x.of[j] - mean)) + (float)b.of[j]);
    made[i] = y;
  }
}
