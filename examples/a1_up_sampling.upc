# Every pixel becomes a block of 2x2: [[1, 2], [3, 4]] -> [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]

net up_sampling {
  input image: [2, 2, 1]
  up_sampling2d()
  output enlarged
}
