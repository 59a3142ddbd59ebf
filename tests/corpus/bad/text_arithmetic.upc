net n {
  input x: [8, 6, 3]
  dense("a" + 1)
  dense(true * 2)
  dense([1] + 2)
  output y
}
