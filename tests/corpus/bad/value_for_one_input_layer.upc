net n {
  input x: [8, 6, 3]
  relu() as skip
  conv2d(skip, 8, 3)
  output y
}
