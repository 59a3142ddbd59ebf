block shrink(size) {
  conv2d(4, size)
  max_pooling2d(2)
}

net n {
  input x: [8, 6, 3]
  shrink(3)
  shrink(3)
  shrink(3)
  output y
}
