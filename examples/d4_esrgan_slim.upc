# UpscalerJS ESRGAN-slim, as in the npm package @upscalerjs/esrgan-slim 1.0.0: a picture of any size,
# `-D scale=2`, 3, 4 or 8 times as large.

# Grow a few new features beside the old ones, mix them by a 1x1 convolution, add what came in.
block dense_residual(features, growth) {
  as x
  from x { conv2d(growth, kernel_size=3, padding=same, activation=relu) } as grown
  concatenate(grown)
  conv2d(features, kernel_size=1)
  add(x)
}

net esrgan_slim(scale=2, features=64, growth=4) {
  input image: [H, W, 3]
  conv2d(features, kernel_size=3, padding=same) as shallow
  conv2d(features, kernel_size=3, padding=same)
  dense_residual(features, growth) as first
  from first { dense_residual(features, growth) } as second
  concatenate(second)
  conv2d(features, kernel_size=1, padding=same)
  conv2d(features, kernel_size=3, padding=same)
  add(shallow)
  conv2d(features, kernel_size=5, padding=same, activation=relu)
  conv2d(features / 2, kernel_size=3, padding=same, activation=relu)
  conv2d(3 * scale ** 2, kernel_size=3, padding=same)
  up_sampling2d(scale)
  conv2d(3, kernel_size=3, padding=same)
  output picture
}
