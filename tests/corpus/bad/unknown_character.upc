net n {
  input x: [8, 6, 3]
  relu();
  conv2d(8, 3).relu()
  dense(2 ^ 3)
  output y
}
