net n {
  input x: [8, 6, 3]
  dense(1..3)
  output y
}
