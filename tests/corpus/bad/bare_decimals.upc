net n {
  input x: [8, 6, 3]
  rescaling(.5)
  rescaling(2.)
  output y
}
