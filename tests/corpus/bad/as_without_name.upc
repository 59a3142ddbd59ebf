net n {
  input x: [8, 6, 3]
  relu() as
  tanh()
  output y
}
