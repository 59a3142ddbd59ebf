# How many input pixels does each output pixel hear of? With all weights one, a picture of ones gives the count.
# A kernel that its stride does not divide overlaps unevenly: the checkerboard seen in generated images.

net uneven(size=5) {
  input ones: [size, size, 1]
  conv2d_transpose(1, kernel_size=3, strides=2, use_bias=false, kernel_initializer=ones)
  output overlap
}

net even(size=5) {
  input ones: [size, size, 1]
  conv2d_transpose(1, kernel_size=4, strides=2, use_bias=false, kernel_initializer=ones)
  output overlap
}

net without_overlap(size=5) {
  input ones: [size, size, 1]
  conv2d_transpose(1, kernel_size=2, strides=2, use_bias=false, kernel_initializer=ones)
  output overlap
}
