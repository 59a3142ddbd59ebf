block normalized(filters) {
  conv2d(filters, 3, padding=same, use_bias=false)
  batch_normalization()
  relu()
}
