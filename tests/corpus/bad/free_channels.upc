net n {
  input x: [8, 8, C]
  conv2d(8, 3)
  output y
}
