# Feature maps of 16x16 -> one 128x128 picture, by enlarging and convolving

block up(filters) {
  up_sampling2d(2)
  conv2d(filters, kernel_size=3, padding=same, activation=relu)
}

net upsample_decoder {
  input features: [16, 16, 256]
  up(128)
  up(64)
  up(32)
  conv2d(3, kernel_size=3, padding=same, activation=tanh)
  output picture
}
