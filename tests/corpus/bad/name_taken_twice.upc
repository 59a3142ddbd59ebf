net n {
  input x: [8, 6, 3]
  relu() as a
  tanh() as a
  output y
}
