# Blocks and repeats whose differing numbers reach layers that hold nothing, of every kind of parameter.
block act(slope) {
  leaky_relu(slope)
}

block shrink(size, step, top=6.0) {
  zero_padding2d([[0, size - 1], [1, 0]])
  max_pooling2d(size, strides=step)
  relu(max_value=top)
}

# The same number stands where a whole one must stand and where a decimal one may.
block grow(factor, filters) {
  up_sampling2d(factor)
  conv2d(filters, 3, padding=same)
  rescaling(factor, offset=filters / 8.0)
  pixel_shuffle(factor, order=dcr)
}

# A block that hands on what its own layers read as well.
block both(size, slope, mode) {
  act(slope)
  shrink(size, 1, slope)
  elu(slope)
  resizing(size + 8, size + 6, interpolation=mode)
}

block mixed(skip, share, bound) {
  as start
  add(skip, share)
  multiply(start, share)
  clip(-bound, bound)
  softmax(axis=bound)
}

net parameters {
  input x: [6, 9, 4]
  conv2d(4, 1) as skip
  act(0.1)
  act(0.2)
  shrink(2, 1)
  shrink(3, 2, top=0.75)
  grow(2, 8)
  grow(3, 18) as fine
  both(2, 0.5, nearest)
  both(3, 0.25, bilinear)
  both(2, 0.125, nearest)
  repeat i in 1..3 { leaky_relu(i / 10.0) zero_padding2d([[1, 0], [i - 1, i]]) }
  repeat i in 1..2 { act(i / 4.0) }
  resizing(6, 9)
  conv2d(4, 1)
  mixed(skip, 0.5, 1)
  mixed(skip, 1.5, 2)
  global_average_pooling2d()
  dense(16)
  repeat i in 1..2 { reshape(4 ** i, 4 ** (2 - i)) softmax(axis=i) flatten() }
  as result
  output result, fine
}
