net n {
  input x: [8, 6, 3]
  conv2d(12, 3)
  pixel_shuffle(2)
  output y
}
