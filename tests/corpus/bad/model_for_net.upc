model n {
  input x: [8]
  relu()
  output y
}
