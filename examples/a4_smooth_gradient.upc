# Four pixels become a smooth 64x64 gradient.

net smooth_gradient {
  input image: [2, 2, 1]
  up_sampling2d(32, interpolation=bilinear)
  output gradient
}
