net n {
  input x: [28, 28, 3]
  max_pooling2d(2) as small
  from x {
    conv2d(8, 3, padding=same)
    concatenate(small)
  } as joined
  output joined, small
}
