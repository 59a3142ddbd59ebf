# As c4 with a strided convolution. Nothing uses the branch: upc warns of it and gives it no weights.

net inverse_sigmoid {
  input image: [32, 32, 1]
  conv2d(15, kernel_size=3, strides=2, padding=same, activation=sigmoid, trainable=false) as features
  from features { conv2d(5, kernel_size=3, activation=tanh) }
  conv2d_transpose(1, kernel_size=3, strides=2, padding=same, activation=tanh)
  output restored
}
