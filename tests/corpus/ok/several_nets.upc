# A generator and its discriminator.
block leaky(slope=0.2) {
  batch_normalization()
  leaky_relu(slope)
}

net generator(latent=16) {
  input z: [latent]
  dense(7 * 7 * 8)
  reshape(7, 7, 8)
  leaky()
  conv2d_transpose(1, kernel_size=4, strides=2, padding=same, activation=tanh)
  output digit
}

net discriminator {
  input digit: [14, 14, 1]
  conv2d(8, kernel_size=5, strides=2, padding=same)
  leaky_relu(0.2)
  dropout(0.3)
  flatten()
  dense(1)
  output score
}
