net n(width=16) {
  input x: [8, 6, 3]
  dense(widht / 2)
  dense(widht)
  output y
}
