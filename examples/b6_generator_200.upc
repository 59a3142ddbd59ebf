# 100 random numbers -> one 200x200 picture. The kernel equals the stride, so no two pixels' patches overlap.

block up(filters) {
  conv2d_transpose(filters, kernel_size=2, strides=2, activation=relu, kernel_initializer=glorot_normal)
  batch_normalization()
}

net generator_200(latent=100) {
  input z: [latent]
  dense(25 * 25 * 432, activation=relu, kernel_initializer=glorot_normal)
  reshape(25, 25, 432)
  up(192)
  up(96)
  up(3)
  output picture
}
