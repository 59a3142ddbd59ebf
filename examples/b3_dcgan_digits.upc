# 100 random numbers -> one 28x28 digit

block up(filters, stride) {
  conv2d_transpose(filters, kernel_size=5, strides=stride, padding=same, use_bias=false)
  batch_normalization()
  leaky_relu(0.3)
}

net dcgan_digits(latent=100) {
  input z: [latent]
  dense(7 * 7 * 256, use_bias=false)
  batch_normalization()
  leaky_relu(0.3)
  reshape(7, 7, 256)
  up(128, stride=1)
  up(64, stride=2)
  conv2d_transpose(1, kernel_size=5, strides=2, padding=same, activation=tanh, use_bias=false)
  output digit
}
