net n {
  input x: [8, 6, 3]
  repeat 20000 { relu() }
  output y
}
