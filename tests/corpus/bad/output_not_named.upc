net n {
  input x: [8]
  relu() as first
  dense(4)
  output first, logits
}
