block up(a) {
  dense(a)
}

block up(b) {
  dense(b)
}

net n {
  input x: [8, 6, 3]
  up(3)
  output y
}
