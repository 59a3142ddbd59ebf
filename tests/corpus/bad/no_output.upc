net n {
  input x: [8]
  relu()
}
