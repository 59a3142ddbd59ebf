# A small generator that enlarges by repeating pixels. b2 has the same size and the same number of parameters.

net up_then_convolve(latent=100) {
  input z: [latent]
  dense(5 * 5 * 128)
  reshape(5, 5, 128)
  up_sampling2d(2)
  conv2d(1, kernel_size=3, padding=same)
  output image
}
