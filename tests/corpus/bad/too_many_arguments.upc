net n {
  input x: [8, 6, 3]
  relu(1, 2, 3)
  output y
}
