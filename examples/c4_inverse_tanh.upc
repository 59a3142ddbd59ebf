# A frozen convolution, and a transposed one that learns to undo it

net inverse_tanh {
  input image: [32, 32, 1]
  conv2d(20, kernel_size=3, padding=same, activation=tanh, trainable=false)
  max_pooling2d(2)
  conv2d_transpose(1, kernel_size=3, strides=2, padding=same, activation=tanh)
  output restored
}
