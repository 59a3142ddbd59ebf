net n(width=7) {
  input x: [8, 6, 3]
  conv2d(width / 2, 3)
  output y
}
