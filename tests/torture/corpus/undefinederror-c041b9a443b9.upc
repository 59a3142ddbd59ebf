net n(width=4) {
  input x: [7, 4, 16]
  relu() as skip
  clip(0, 1)
  output y
}

block b(width=3, act=relu) {
  repeat i in 1..3 {
    up_sampling2d(1)
    batch_normalization()
  }
  relu()
}
