block pair(filters) {
  conv2d(filters, 3)
  conv2d(filters, 3, trainable=true)
}

net trainable(freeze=false) {
  input x: [16, 12, 1]
  conv2d(2, 3, trainable=false)
  pair(3, trainable=freeze)
  pair(4, trainable=false)
  batch_normalization()
  output y
}
