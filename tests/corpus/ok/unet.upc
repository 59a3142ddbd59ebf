block double(filters) {
  conv2d(filters, kernel_size=3, padding=same, activation=relu)
  conv2d(filters, kernel_size=3, padding=same, activation=relu)
}

# unet.upc: values get names with `as`; a layer takes more values by name; H and W stay free
net unet(base=32) {
  input image: [H, W, 3]
  double(base)                  as e1
  max_pooling2d(2)
  double(2 * base)              as e2
  max_pooling2d(2)
  double(4 * base)
  up_sampling2d(2, interpolation=bilinear)
  concatenate(e2)
  double(2 * base)
  up_sampling2d(2, interpolation=bilinear)
  concatenate(e1)
  double(base)
  conv2d(1, kernel_size=1, activation=sigmoid)
  output mask
}
