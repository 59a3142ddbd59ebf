block a(n) {
  b(n)
}

block b(n) {
  relu()
  a(n)
}

net n {
  input x: [8, 6, 3]
  a(3)
  output y
}
