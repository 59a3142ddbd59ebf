net n0(width=8, act=relu) {
  input x: [H, 3, 1]
  relu() as skip
  clip(0, 1)
  average_pooling2d(1)
  conv2d_transpose(1, 3, strides=3, padding=same)
  output y
}

block b(width=3, act=relu) {
  reflect_padding2d(1)
}
