net n {
  input x: [2 * H, W, 3]
  relu()
  output y
}
