net n {
  input x: [8, 6, 3]
  conv2d(8, 3, filters=4)
  conv2d(8, 3, padding=same, padding=valid)
  output y
}
