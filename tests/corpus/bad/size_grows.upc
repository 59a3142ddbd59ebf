net n {
  input x: [H, W, 1]
  repeat 40 { up_sampling2d(2) }
  output y
}
