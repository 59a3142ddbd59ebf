block twice(filters) {
  conv2d(filters, 3)
  conv2d(filters, 3)
}

net n {
  input x: [8, 6, 3]
  twice(filter=8)
  output y
}
