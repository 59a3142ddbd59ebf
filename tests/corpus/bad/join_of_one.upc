net n {
  input x: [8, 6, 3]
  concatenate()
  output y
}
