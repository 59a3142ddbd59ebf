block halve() {
  average_pooling2d(2)
}

block widen(filters) {
  conv2d(filters, 3, padding=same)
}
