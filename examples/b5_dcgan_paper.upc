# The generator of Radford, Metz and Chintala, arXiv:1511.06434: 100 random numbers -> one 64x64 picture

block up(filters) {
  conv2d_transpose(filters, kernel_size=5, strides=2, padding=same)
  batch_normalization()
  relu()
}

net dcgan_paper(latent=100, width=1024) {
  input z: [latent]
  dense(4 * 4 * width)
  reshape(4, 4, width)
  batch_normalization()
  relu()
  repeat i in 1..3 { up(width / 2 ** i) }
  conv2d_transpose(3, kernel_size=5, strides=2, padding=same, activation=tanh)
  output picture
}
