net n {
  input x: [8, 6, 3]
  repeat 2 { input z: [3] }
  output y
}
