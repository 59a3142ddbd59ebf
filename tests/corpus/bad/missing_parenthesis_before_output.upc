net n {
  input x: [8, 6, 3]
  conv2d(8, 3, padding=same
  output y
}
