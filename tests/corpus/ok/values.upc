# Whole numbers are exact, and `**` binds tighter than a sign in front of it.
net values(width=96, rate=0.5, kernel=[3, 5], mode=bilinear, biased=true, act=none) {
  input x: [16, 16, 2 + 2 * 2 - 3]
  conv2d(width / 2 ** 3 % 7, kernel, padding=same, use_bias=biased, activation=act)
  conv2d(-2 ** 2 + 3 * (4 - 1), [2, 2], padding=[[1, 0], [0, 1]], activation="relu")
  rescaling(1.0 / 255, offset=-1e-3)
  multiply(0.2, 1.5e2)
  leaky_relu(rate / 2)
  up_sampling2d([2, 3], interpolation=mode)
  dropout(rate)
  clip(-1, 1)
  output y
}
