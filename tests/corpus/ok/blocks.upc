# Blocks in blocks, defaults that build on parameters, values as arguments, and a name for what comes in.
block residual(filters, kernel=3, inner=filters / 2) {
  as start
  squeeze(inner)
  conv2d(filters, kernel, padding=same)
  add(start)
}

block squeeze(filters, slope=0.1) {
  conv2d(filters, kernel_size=1)
  leaky_relu(slope)
}

block join(skip, filters=8) {
  up_sampling2d(2)
  concatenate(skip)
  conv2d(filters, 3, padding=same)
}

net blocks(width=8) {
  input x: [8, 12, 3]
  conv2d(width, 3, padding=same)
  residual(width) as fine
  max_pooling2d(2)
  residual(width, 5)
  residual(filters=width, inner=3)
  join(fine) as full
  max_pooling2d(2)
  join(skip=full, filters=2)
  output y
}
