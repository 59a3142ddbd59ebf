# Sizes that must be odd, that must agree, and that must be large enough.
net odd {
  input x: [H, W, 3]
  conv2d(4, 3, strides=2) as small
  conv2d_transpose(3, 3, strides=2)
  add(x) as y
  output y, small
}

net agree {
  input left: [H, W, 3]
  input right: [H, V, 3]
  concatenate(left)
  output both
}

net large {
  input x: [H, W, 1]
  conv2d(2, 7)
  max_pooling2d(2)
  conv2d(2, [3, 1])
  output y
}
