net n {
  input x: [8, 6, 3]
  dense(2width)
  output y
}
