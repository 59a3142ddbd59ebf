# 100 random numbers -> one 64x64 face. From the second block on, the activation comes before the normalisation.

block up(filters) {
  conv2d_transpose(filters, kernel_size=4, strides=2, padding=same)
  leaky_relu(0.2)
  batch_normalization()
}

net dcgan_faces(latent=100, width=512) {
  input z: [latent]
  dense(4 * 4 * width)
  reshape(4, 4, width)
  conv2d_transpose(width / 2, kernel_size=4, strides=2, padding=same)
  batch_normalization()
  leaky_relu(0.2)
  repeat i in 2..3 { up(width / 2 ** i) }
  conv2d_transpose(3, kernel_size=4, strides=2, padding=same, activation=sigmoid)
  output face
}
