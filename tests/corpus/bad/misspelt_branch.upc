net n {
  input x: [8, 6, 3]
  relu() as skip
  from skp { tanh() } as other
  add(other)
  output y
}
