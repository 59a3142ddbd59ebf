net n {
  input x: [8, 6, 3]
  relu() as a
  from x, a { relu() }
  output y
}
