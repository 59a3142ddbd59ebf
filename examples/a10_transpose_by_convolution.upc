# A transposed convolution, done the long way: spread the image out by the stride, pad it by kernel - 1 zeros,
# convolve with the kernel turned by half a turn. Both nets give the same image for every stride.

net transposed(stride=1, kernel=3) {
  input patch: [2, 2, 1]
  conv2d_transpose(1, kernel, strides=stride)
  output image
}

net by_convolution(stride=1, kernel=3) {
  input patch: [2, 2, 1]
  conv2d_transpose(1, kernel_size=1, strides=stride, use_bias=false, kernel_initializer=ones)
  cropping2d([[0, stride - 1], [0, stride - 1]])
  zero_padding2d(kernel - 1)
  conv2d(1, kernel)
  output image
}
