net n {
  input x: [30, 20, 1]
  conv2d(4, 3, padding=same) as e1
  max_pooling2d(2)
  conv2d(4, 3, padding=same) as e2
  max_pooling2d(2)
  up_sampling2d(2)
  concatenate(e2)
  up_sampling2d(2)
  concatenate(e1)
  output y
}
