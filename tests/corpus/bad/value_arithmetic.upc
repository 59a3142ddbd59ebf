net n {
  input x: [8, 6, 3]
  relu() as skip
  dense(skip + 1)
  output y
}
