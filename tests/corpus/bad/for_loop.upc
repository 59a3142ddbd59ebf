net n {
  input x: [8, 6, 3]
  for i in 1..3 { relu() }
  output y
}
