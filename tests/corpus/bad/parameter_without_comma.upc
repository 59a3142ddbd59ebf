net n(a=1 b=2) {
  input x: [8]
  relu()
  output y
}
