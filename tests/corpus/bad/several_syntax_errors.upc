net n {
  input x [8, 6, 3]
  conv2d(8 3)
  relu
  max_pooling2d(2)
  repeat i in 3 {
    tanh()
  }
  add(relu())
  output
}
