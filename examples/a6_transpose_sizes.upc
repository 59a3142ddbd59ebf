# How large is the result of a transposed convolution? For n pixels, kernel k, stride s, dilation d:
#   same      n * s
#   valid     (n - 1) * s + max(k, s)
#   explicit  (n - 1) * s + d * (k - 1) + 1 - 2 * p + q, with padding p and output_padding q

net same_size(size=7, kernel=4, stride=3) {
  input image: [size, size, 1]
  conv2d_transpose(1, kernel, strides=stride, padding=same)
  output enlarged
}

net valid_size(size=7, kernel=4, stride=3) {
  input image: [size, size, 1]
  conv2d_transpose(1, kernel, strides=stride, padding=valid)
  output enlarged
}

net explicit_size(size=7, kernel=4, stride=3, pad=1, extra=2, dilation=1) {
  input image: [size, size, 1]
  conv2d_transpose(1, kernel, strides=stride, padding=pad, output_padding=extra, dilation_rate=dilation)
  output enlarged
}
