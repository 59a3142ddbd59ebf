# The generator of PyTorch's DCGAN tutorial, whose trained weights the package gan-face-generate 1.1.1 carries.
# Normalisation has PyTorch's epsilon; the first layer turns 1x1 into 4x4, every other one doubles.

block up(filters) {
  conv2d_transpose(filters, kernel_size=4, strides=2, padding=1, use_bias=false)
  batch_normalization(momentum=0.9, epsilon=1e-5)
  relu()
}

net dcgan_faces_torch(latent=100, width=64) {
  input z: [latent]
  reshape(1, 1, latent)
  conv2d_transpose(8 * width, kernel_size=4, padding=valid, use_bias=false)
  batch_normalization(momentum=0.9, epsilon=1e-5)
  relu()
  repeat i in 1..3 { up(8 * width / 2 ** i) }
  conv2d_transpose(3, kernel_size=4, strides=2, padding=1, use_bias=false)
  tanh()
  output face
}
