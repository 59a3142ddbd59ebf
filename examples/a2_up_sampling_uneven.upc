# Twice the height, three times the width.

net up_sampling_uneven {
  input image: [2, 2, 1]
  up_sampling2d([2, 3])
  output enlarged
}
