# Some layers have another name, or are made of others; some are not there.
net n {
  input x: [8, 9, 3]
  attention()
  spectral_normalization()
  matmul(x)
  lambda(3)
  mish()
  separable_conv2d(4, 3)
  SeparableConv2D(4, 3)
  output y
}
