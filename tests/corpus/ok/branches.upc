# After a branch the value before it is current again.
net branches(width=4) {
  input x: [9, 7, 3] as picture
  conv2d(width, 3, padding=same) as trunk
  from picture {
    conv2d(width, 1) as thin
    from trunk { max_pooling2d(3, strides=1, padding=same) } as pooled
    add(pooled)
  } as side
  relu()
  concatenate(side, thin)
  output joined
}
