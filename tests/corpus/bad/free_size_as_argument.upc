net n {
  input x: [H, W, 3]
  resizing(2 * H, W)
  output y
}
