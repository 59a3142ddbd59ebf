# As a7, the taps of the kernel two pixels apart.

net transpose_dilated {
  input patch: [2, 2, 1]
  conv2d_transpose(1, kernel_size=3, dilation_rate=2)
  output image
}
