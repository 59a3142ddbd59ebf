net n {
  input x: [8, 6, 3]
  repeat 2 {
    relu()
  output y
}
