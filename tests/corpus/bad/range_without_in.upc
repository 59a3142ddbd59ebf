net n {
  input x: [8, 6, 3]
  repeat i 1..3 { relu() }
  output y
}
