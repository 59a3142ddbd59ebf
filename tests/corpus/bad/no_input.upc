net n {
  relu()
  output y
}
