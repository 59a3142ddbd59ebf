# The batch is no part of a shape.
net n {
  input x: [1, 28, 28, 1]
  conv2d(4, 3)
  output y
}
