net n {
  input x: [8]
  relu() as y
  output = y
}
