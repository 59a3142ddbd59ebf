net n {
  input x: [8]
  output x
}
