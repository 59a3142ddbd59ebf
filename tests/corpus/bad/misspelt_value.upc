net n {
  input x: [8, 6, 3]
  relu() as skip
  tanh()
  add(skp)
  output y
}
