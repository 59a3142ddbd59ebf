# 32 random numbers -> one 32x32 picture in colour

net generator_cifar(latent=32) {
  input z: [latent]
  dense(16 * 16 * 128)
  leaky_relu(0.3)
  reshape(16, 16, 128)
  conv2d(256, kernel_size=5, padding=same)
  leaky_relu(0.3)
  conv2d_transpose(256, kernel_size=4, strides=2, padding=same)
  leaky_relu(0.3)
  repeat 2 {
    conv2d(256, kernel_size=5, padding=same)
    leaky_relu(0.3)
  }
  conv2d(3, kernel_size=7, padding=same, activation=tanh)
  output picture
}
