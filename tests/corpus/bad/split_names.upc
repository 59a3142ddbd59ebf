net n {
  input x: [8, 6, 3]
  conv2d(8, 1)
  split(2) as a, b, c
  add(b)
  output y
}
