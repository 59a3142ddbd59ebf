# As a7, each pixel's patch written two pixels from its neighbour's.

net transpose_strided {
  input patch: [2, 2, 1]
  conv2d_transpose(1, kernel_size=3, strides=2)
  output image
}
