net n {
  input x: [H, W, 3]
  zero_padding2d([[0, 1], [0, 0]])
  add(x)
  output y
}
