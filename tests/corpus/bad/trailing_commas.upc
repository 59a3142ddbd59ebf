net n {
  input x: [8, 6, 3],
  relu(),
  tanh() as y,
  output y
}
