block a() {
  relu(
  tanh()
}
