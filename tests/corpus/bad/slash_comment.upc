net n {
  input x: [8, 6, 3]
  // like this
  relu()
  output y
}
