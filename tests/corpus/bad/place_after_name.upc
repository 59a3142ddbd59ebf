net n {
  input x: [8, 6, 3]
  conv2d(filters=8, 3)
  output y
}
