net n {
  input: [8, 6, 3]
  relu()
  output y
}
