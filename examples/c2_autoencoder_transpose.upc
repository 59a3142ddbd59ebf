# The encoder of c1, its decoder made of transposed convolutions. The first one cuts its 8x8 result to 7x7.

net autoencoder_transpose(kernel=4) {
  input digit: [28, 28, 1]
  conv2d(8, kernel_size=2, padding=same, activation=relu, kernel_initializer=he_uniform)
  max_pooling2d(2, padding=same)
  conv2d(8, kernel_size=2, padding=same, activation=relu)
  max_pooling2d(2, padding=same)
  conv2d(8, kernel_size=2, strides=2, padding=same, activation=relu)
  conv2d(8, kernel_size=2, padding=same, activation=relu)
  conv2d_transpose(8, kernel, strides=2, output_size=[7, 7], padding=same, activation=relu)
  conv2d_transpose(8, kernel, strides=2, padding=same, activation=relu)
  conv2d_transpose(1, kernel, strides=2, padding=same, activation=sigmoid)
  output reconstruction
}
