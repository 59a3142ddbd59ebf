block up(filters, size) {
  conv2d(filters, size)
}

net n {
  input x: [8, 6, 3]
  up(8)
  up(8, 3, 4)
  output y
}
