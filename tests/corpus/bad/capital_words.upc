# Words are small; other tools write them large.
net n {
  input x: [8, 9, 3]
  conv2d(4, 3, padding=SAME)
  conv2d(4, 3, activation=ReLU)
  conv2d(4, 3, activation=LeakyReLU)
  up_sampling2d(2, interpolation=Nearest)
  conv2d(4, 3, activation=foo)
  conv2d(Filters, 3)
  output y
}
