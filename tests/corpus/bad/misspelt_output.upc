net n {
  input x: [8]
  relu() as first
  tanh() as second
  output first, secnd
}
