net n {
  input x: [8, 6, 3]
  dense(2 ** 999999999)
  output y
}
