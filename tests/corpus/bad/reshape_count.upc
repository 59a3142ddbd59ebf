net n {
  input z: [100]
  dense(4 * 4 * 64)
  reshape(4, 4, 32)
  output y
}
