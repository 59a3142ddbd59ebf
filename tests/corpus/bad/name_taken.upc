net n(width=4) {
  input x: [8]
  dense(width) as width
  relu() as x
  output y
}
