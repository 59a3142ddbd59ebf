net n {
  input x: [8, 6, 3]
  dense(99999999999999999999)
  output y
}
