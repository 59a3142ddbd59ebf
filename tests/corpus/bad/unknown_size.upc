net n(latent=8) {
  input x: [latnet]
  dense(4)
  output y
}
