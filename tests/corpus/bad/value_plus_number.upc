# Values are worked on by layers.
net n {
  input x: [8, 9, 3]
  x + 1
  output y
}
