net n {
  input repeat: [8, 6, 3]
  relu() as output
  output y
}
