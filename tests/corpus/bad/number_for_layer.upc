net n {
  input x: [8, 6, 3]
  3 * relu()
  output y
}
