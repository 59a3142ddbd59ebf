# Digits squeezed to 4x4x8 numbers and drawn again; 1,393 parameters

net autoencoder {
  input digit: [28, 28, 1]
  conv2d(8, kernel_size=2, padding=same, activation=relu, kernel_initializer=he_uniform)
  max_pooling2d(2, padding=same)
  conv2d(8, kernel_size=2, padding=same, activation=relu)
  max_pooling2d(2, padding=same)
  conv2d(8, kernel_size=2, strides=2, padding=same, activation=relu)
  conv2d(8, kernel_size=2, padding=same, activation=relu)
  up_sampling2d(2, interpolation=bilinear)
  conv2d(8, kernel_size=2, padding=valid, activation=relu)
  up_sampling2d(2, interpolation=bilinear)
  conv2d(8, kernel_size=2, padding=same, activation=relu)
  up_sampling2d(2, interpolation=bilinear)
  conv2d(1, kernel_size=2, padding=same, activation=sigmoid)
  output reconstruction
}
