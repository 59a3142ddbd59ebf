net n(C=3) {
  input x: [8, 6, C]
  relu()
  output y
}
