net n {
  input x: [100]
  conv2d(8, 3)
  output y
}
