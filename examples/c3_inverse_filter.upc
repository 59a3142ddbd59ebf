# The frozen 3x3 filter of a7, and a transposed convolution that learns to undo it

net inverse_filter {
  input image: [4, 4, 1]
  conv2d(1, kernel_size=3, padding=same, trainable=false)
  conv2d_transpose(1, kernel_size=3, padding=same)
  output restored
}
