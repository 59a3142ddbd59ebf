block up(n) {
  dense(n)
  output z
}

net n {
  input x: [8, 6, 3]
  up(3)
  output y
}
