net n {
  input x: [8, 6, 3]
  repeat i in 1...3 { relu() }
  output y
}
