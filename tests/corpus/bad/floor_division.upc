net n {
  input x: [8, 6, 3]
  dense(8 // 2)
  output y
}
