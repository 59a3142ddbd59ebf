net n {
  input x: [8, 6, 3]
  conv2(8, 3)
  relu()
  output y
}
