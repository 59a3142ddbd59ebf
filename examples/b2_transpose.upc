# The generator of b1 with one transposed convolution in place of enlarging and convolving.

net transpose(latent=100) {
  input z: [latent]
  dense(5 * 5 * 128)
  reshape(5, 5, 128)
  conv2d_transpose(1, kernel_size=3, strides=2, padding=same)
  output image
}
