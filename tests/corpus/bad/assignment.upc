net n {
  input x: [8, 6, 3]
  h = conv2d(8, 3)
  output y
}
