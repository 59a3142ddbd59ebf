net n {
  input x: [8, 6, 3]
  Conv2D(8, 3)
  MaxPool2d(2)
  linear(4)
  output y
}
