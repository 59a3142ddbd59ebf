net n {
  input x: [0, 6, 3]
  relu()
  output y
}
