net n {
  input x: [8, 6, 3]
  add(conv2d(8, 3))
  output y
}
