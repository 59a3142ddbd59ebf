net n {
  input x: [None, 8]
  dense(4, use_bias=True)
  output y
}
