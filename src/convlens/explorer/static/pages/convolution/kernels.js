// Kernels to choose from; the first is the lecture's.

export const KERNELS = {
  lecture: [[0, 1, 2], [2, 2, 0], [0, 1, 2]],
  identity: [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
  blur: [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
  sharpen: [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
  sobelX: [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
  sobelY: [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
  laplace: [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
};
