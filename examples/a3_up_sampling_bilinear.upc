# Bilinear with half-pixel centres: pixel i of the result looks at (i + 0.5) / size - 0.5, clamped at the edges.

net up_sampling_bilinear {
  input image: [2, 2, 1]
  up_sampling2d([2, 3], interpolation=bilinear)
  output enlarged
}
