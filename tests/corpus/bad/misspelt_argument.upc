net n {
  input x: [8, 6, 3]
  conv2d(8, kernal_size=3)
  output y
}
