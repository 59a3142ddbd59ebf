# A transposed convolution with a kernel of one pixel only spreads the image out: zeros stand between the pixels.

net transpose_spread {
  input image: [2, 2, 1]
  conv2d_transpose(1, kernel_size=1, strides=2)
  output spread
}
