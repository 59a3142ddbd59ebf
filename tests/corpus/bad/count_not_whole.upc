net n {
  input x: [8, 6, 3]
  repeat 2.5 { relu() }
  repeat same { relu() }
  output y
}
