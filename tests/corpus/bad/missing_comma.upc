net n {
  input x: [8, 6, 3]
  conv2d(8 kernel_size=3)
  output y
}
