net n {
  input x: [8]
  relu()
  output y

net m {
  input x: [8]
  relu()
  output y
}
