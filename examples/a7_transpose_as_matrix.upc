# A valid convolution is a 4x16 matrix times the flat image; the transposed convolution is the transposed matrix.
# The two nets share one kernel, so that the second takes the first one's 2x2 result back to 4x4.

net convolution {
  input image: [4, 4, 1]
  conv2d(1, kernel_size=3)
  output patch
}

net transposed {
  input patch: [2, 2, 1]
  conv2d_transpose(1, kernel_size=3)
  output image
}
