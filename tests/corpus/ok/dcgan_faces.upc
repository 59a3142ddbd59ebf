# dcgan_faces.upc: 100 random numbers -> one 64x64 face

block up(filters) {
  conv2d_transpose(filters, kernel_size=4, strides=2, padding=same)
  leaky_relu(0.2)
  batch_normalization()
}

net dcgan_faces(latent=100, width=512) {
  input z: [latent]
  dense(4 * 4 * width)
  reshape(4, 4, width)
  repeat i in 1..3 { up(width / 2 ** i) }
  conv2d_transpose(3, kernel_size=4, strides=2, padding=same, activation=sigmoid)
  output face
}
